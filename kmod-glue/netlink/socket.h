// SPDX-License-Identifier: BSD-3-Clause
/// A netlink socket for requests and dumps.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "kmod-glue/netlink/answer.h"
#include "kmod-glue/netlink/message.h"

namespace sallyport {

/// Belongs to the network namespace it was opened in. Not for notifications: those need a socket
/// whose overrun means "observe again". One request at a time; a call returns when the kernel has
/// answered, which it does before sendmsg returns or never.
class NetlinkSocket {
 public:
  /// Takes an answer; false if it could not be understood. Its bytes die with the call.
  using Visit = std::function<bool(const Answer&)>;
  enum class DumpEnd : uint8_t {
    kComplete,
    kInterrupted,  // something changed meanwhile: what was seen may be torn, ask again
  };

  /// `protocol` is NETLINK_ROUTE, NETLINK_GENERIC, ...
  static Result<NetlinkSocket> open(int protocol);

  /// From now on the kernel refuses dump requests that it does not fully understand, and honours
  /// the filters in them (a route dump of one table).
  Result<void> be_strict();

  /// Sends and waits for the acknowledgement; `visit` sees answers that come before it. `doing`
  /// ("create link wg0") opens the text of an error, the kernel's own words follow. Errors: the
  /// kernel's errno; ENOBUFS if its answer was lost (it may have been carried out: observe);
  /// EBADMSG if an answer was not understood; ETIMEDOUT.
  Result<void> request(Message& message, std::string_view doing, const Visit& visit = {});
  /// Sends as a dump; `visit` sees every message of it. Errors as above.
  Result<DumpEnd> dump(Message& message, std::string_view doing, const Visit& visit);

 private:
  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
  Result<DumpEnd> exchange(Message& message, std::string_view doing, const Visit& visit);

  Fd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace sallyport
