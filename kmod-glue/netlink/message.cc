// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/message.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include <cassert>
#include <cstring>

namespace sallyport {

Message::Message(size_t capacity)
    : buffer_(std::make_unique<uint8_t[]>(capacity)), capacity_(capacity) {
  assert(capacity >= MNL_NLMSG_HDRLEN && capacity <= kMostBytes);
  begin(NLMSG_NOOP);
}

Message::~Message() {
  if (buffer_) explicit_bzero(buffer_.get(), size());
}

nlmsghdr* Message::header() {
  // make_unique aligns for any type.
  return reinterpret_cast<nlmsghdr*>(buffer_.get());
}

size_t Message::size() const {
  uint32_t length = 0;  // the first member of nlmsghdr
  std::memcpy(&length, buffer_.get(), sizeof(length));
  return length;
}

void Message::begin(uint16_t type, uint16_t flags) {
  explicit_bzero(buffer_.get(), size());
  nlmsghdr* head = mnl_nlmsg_put_header(buffer_.get());
  head->nlmsg_type = type;
  head->nlmsg_flags = flags;
}

void Message::begin_generic(uint16_t family, uint8_t command, uint8_t version, uint16_t flags) {
  begin(family, flags);
  const genlmsghdr generic{.cmd = command, .version = version, .reserved = 0};
  [[maybe_unused]] const bool put = put_header(generic);
  assert(put);
}

bool Message::begin_with(ByteView whole) {
  if (whole.size() < MNL_NLMSG_HDRLEN || whole.size() > capacity_) return false;
  nlmsghdr head{};
  std::memcpy(&head, whole.data(), sizeof(head));
  if (head.nlmsg_len != whole.size()) return false;
  begin(head.nlmsg_type, head.nlmsg_flags);
  std::memcpy(buffer_.get(), whole.data(), whole.size());
  return true;
}

bool Message::put_raw(ByteView data) {
  if (size() + MNL_ALIGN(data.size()) > capacity_) return false;
  std::memcpy(mnl_nlmsg_put_extra_header(header(), data.size()), data.data(), data.size());
  return true;
}

bool Message::put(uint16_t attr, ByteView value) {
  return mnl_attr_put_check(header(), capacity_, attr, value.size(), value.data());
}

bool Message::put_string(uint16_t attr, std::string_view text) {
  const size_t room = MNL_ATTR_HDRLEN + MNL_ALIGN(text.size() + 1);
  if (size() + room > capacity_) return false;
  // mnl_attr_put_strz would read a NUL that a view need not have.
  uint8_t* at = buffer_.get() + size();
  std::memset(at, 0, room);
  const nlattr head{.nla_len = static_cast<uint16_t>(MNL_ATTR_HDRLEN + text.size() + 1),
                    .nla_type = attr};
  std::memcpy(at, &head, sizeof(head));
  std::memcpy(at + MNL_ATTR_HDRLEN, text.data(), text.size());
  header()->nlmsg_len += static_cast<uint32_t>(room);
  return true;
}

size_t Message::open_nest(uint16_t attr) {
  const size_t start = size();
  return mnl_attr_nest_start_check(header(), capacity_, attr) == nullptr ? kNoRoom : start;
}

void Message::close_nest(size_t start, bool keep) {
  auto* nest = reinterpret_cast<nlattr*>(buffer_.get() + start);
  if (keep) {
    mnl_attr_nest_end(header(), nest);
    return;
  }
  // What was put may have been a key.
  explicit_bzero(nest, size() - start);
  mnl_attr_nest_cancel(header(), nest);
}

}  // namespace sallyport
