// SPDX-License-Identifier: BSD-3-Clause
/// The kernel says that something changed.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/model/ip.h"

namespace sallyport {

/// Two subscribed netlink sockets (rtnetlink, nftables) of one network namespace. It only says that
/// one has to look again: what there is then is observed, never put together from notifications.
class KernelWatch {
 public:
  /// `table`: our routing table.
  static Result<KernelWatch> open(uint32_t table);

  /// Readable when drain() has something to read. Borrowed.
  [[nodiscard]] int fd() const { return poll_.raw(); }
  /// Reads all there is, without waiting. True if one has to look again: a link, an address, a
  /// routing rule, a route in our table, a default route, one to a followed prefix, our nftables
  /// table, or a chain or rule of another's changed, or messages were lost. Our own changes are
  /// reported as well.
  bool drain();
  /// From now on routes of any table that overlap these concern us too.
  void follow(std::vector<Prefix> prefixes) { followed_ = std::move(prefixes); }

 private:
  KernelWatch() = default;

  Fd route_;
  Fd nft_;
  Fd poll_;
  uint32_t table_ = 0;
  std::vector<Prefix> followed_;
};

}  // namespace sallyport
