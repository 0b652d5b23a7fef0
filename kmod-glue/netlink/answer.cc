// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/answer.h"

#include <fmt/format.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

#include "kmod-glue/netlink/attrs.h"

namespace sallyport {
namespace {

constexpr auto kExtackPolicy = [] {
  AttrPolicy<NLMSGERR_ATTR_MAX + 1> policy{};
  policy[NLMSGERR_ATTR_MSG] = {Shape::kString};
  policy[NLMSGERR_ATTR_OFFS] = {Shape::kExact, 4};
  policy[NLMSGERR_ATTR_MISS_TYPE] = {Shape::kExact, 4};
  return policy;
}();

/// The type of the attribute that begins at `offset` of what we sent.
std::optional<uint16_t> attribute_at(ByteView request, uint32_t offset) {
  if (offset < sizeof(nlmsghdr) || offset >= request.size()) return std::nullopt;
  const auto found = AttrWalk(request.subspan(offset)).next();
  return found ? std::optional(found->type) : std::nullopt;
}

std::string words_of(ByteView extack, ByteView request) {
  const auto attrs = Attrs<kExtackPolicy.size()>::parse(extack, kExtackPolicy);
  if (!attrs) return {};
  std::string words(attrs->string(NLMSGERR_ATTR_MSG));
  const auto add = [&](const std::string& more) { words += (words.empty() ? "" : " ") + more; };
  if (const auto offset = attrs->value<uint32_t>(NLMSGERR_ATTR_OFFS)) {
    if (const auto type = attribute_at(request, *offset)) add(fmt::format("(attribute {})", *type));
  }
  if (const auto type = attrs->value<uint32_t>(NLMSGERR_ATTR_MISS_TYPE)) {
    add(fmt::format("(attribute {} is missing)", *type));
  }
  return words;
}

}  // namespace

ByteView Answer::generic_attrs() const {
  return payload.size() < GENL_HDRLEN ? ByteView{} : payload.subspan(GENL_HDRLEN);
}

std::optional<Answer> AnswerWalk::next() {
  if (rest_.empty() || malformed_) return std::nullopt;
  nlmsghdr head{};
  if (rest_.size() >= sizeof(head)) std::memcpy(&head, rest_.data(), sizeof(head));
  if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > rest_.size()) {
    malformed_ = true;
    return std::nullopt;
  }
  const Answer answer{head.nlmsg_type, head.nlmsg_flags, head.nlmsg_seq,
                      rest_.subspan(sizeof(head), head.nlmsg_len - sizeof(head))};
  const size_t step = NLMSG_ALIGN(size_t{head.nlmsg_len});
  rest_ = rest_.subspan(std::min(step, rest_.size()));
  return answer;
}

std::optional<Acknowledgement> parse_acknowledgement(const Answer& answer, ByteView request) {
  int32_t error = 0;
  if (answer.payload.size() < sizeof(error)) return std::nullopt;
  std::memcpy(&error, answer.payload.data(), sizeof(error));
  // A number that no errno can be would not survive its change of sign.
  if (error > 0 || error < -4095) return std::nullopt;
  Acknowledgement ack{-error, {}};
  if ((answer.flags & NLM_F_ACK_TLVS) == 0) return ack;

  size_t skip = sizeof(error);
  if (answer.type == NLMSG_ERROR) {
    nlmsgerr whole{};
    if (answer.payload.size() < sizeof(whole)) return ack;
    std::memcpy(&whole, answer.payload.data(), sizeof(whole));
    skip = sizeof(whole);
    // Our message is quoted before the attributes unless the kernel capped it to its header.
    if ((answer.flags & NLM_F_CAPPED) == 0 && whole.msg.nlmsg_len > sizeof(nlmsghdr)) {
      skip += NLMSG_ALIGN(size_t{whole.msg.nlmsg_len} - sizeof(nlmsghdr));
    }
  }
  if (skip < answer.payload.size()) ack.words = words_of(answer.payload.subspan(skip), request);
  return ack;
}

}  // namespace sallyport
