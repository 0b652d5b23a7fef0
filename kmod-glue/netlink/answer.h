// SPDX-License-Identifier: BSD-3-Clause
/// What the kernel sends back: datagrams of messages, acknowledgements and their extended text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/bytes.h"

namespace sallyport {

/// One message of a datagram; the payload (what follows the 16-byte header) is borrowed.
struct Answer {
  uint16_t type = 0;   // NLMSG_ERROR, NLMSG_DONE, or the protocol's
  uint16_t flags = 0;  // NLM_F_ bits
  uint32_t sequence = 0;
  ByteView payload;

  /// The payload of a generic netlink message without its genlmsghdr; empty if too short.
  [[nodiscard]] ByteView generic_attrs() const;
};

/// Walks over the messages of one received datagram.
class AnswerWalk {
 public:
  explicit AnswerWalk(ByteView datagram) : rest_(datagram) {}

  /// Nothing at the end, and at the first message that does not fit.
  std::optional<Answer> next();
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  ByteView rest_;
  bool malformed_ = false;
};

/// How a request or a dump ended.
struct Acknowledgement {
  int error = 0;      // errno(3), 0: done
  std::string words;  // the kernel's own text (NLMSGERR_ATTR_MSG) and the attribute it means
};

/// Reads an NLMSG_ERROR or NLMSG_DONE. `request` is what we sent, to name the attribute that the
/// kernel points at. Nothing: too short. Source: struct nlmsgerr, enum nlmsgerr_attrs.
std::optional<Acknowledgement> parse_acknowledgement(const Answer& answer, ByteView request);

}  // namespace sallyport
