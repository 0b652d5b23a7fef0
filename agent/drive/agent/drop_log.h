// SPDX-License-Identifier: BSD-3-Clause
/// What was dropped lately, packets of one kind counted together.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/ip.h"
#include "agent/model/rule.h"
#include "bpf/abi/flow.h"

namespace sallyport {

/// One line of `sallyport drops`. Numbers are still numbers: names are looked up when it is shown.
struct Drop {
  WallTime at;  // of the latest packet
  uint64_t word = 0;
  uint32_t peer = 0;
  uint16_t rule = 0;
  uint8_t verdict = 0;
  uint8_t hook = 0;
  PacketKey packet;  // source port of the latest packet
  uint32_t ifindex = 0;
  uint64_t count = 0;
};

/// Keeps the newest kinds. The kernel reports a bounded number of drops a second; what it left out
/// is in `suppressed`, and the verdict counters have them all.
class DropLog {
 public:
  static constexpr size_t kKinds = 1000;

  /// `at`: the wall time of the event.
  void add(const sp_drop_event& event, WallTime at);
  /// Oldest first.
  [[nodiscard]] std::vector<Drop> newest() const;
  [[nodiscard]] uint64_t suppressed() const { return suppressed_; }

 private:
  using Kind = std::tuple<uint8_t, uint8_t, uint32_t, uint16_t, IpAddress, IpAddress, uint8_t,
                          uint16_t, uint32_t>;
  std::map<Kind, Drop> kinds_;
  uint64_t suppressed_ = 0;
};

/// The event as values.
Drop drop_of(const sp_drop_event& event, WallTime at);

}  // namespace sallyport
