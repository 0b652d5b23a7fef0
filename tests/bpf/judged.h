// SPDX-License-Identifier: BSD-3-Clause
/// The shipped programs, judging packets given by BPF_PROG_TEST_RUN in private maps.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "bpf/abi/verdict.h"
#include "kmod-glue/bpf_loader.h"

namespace sallyport::test {

/// Out of the tunnel, into it; in by another port, out by it, out by lo, where the packet is an
/// Ethernet frame.
enum class Way : uint8_t { kIn, kOut, kPort, kPortOut, kLoopback };

struct Given {
  uint32_t mark = 0;
  uint32_t gso_size = 0;
  uint32_t gso_segs = 0;
};

struct Seen {
  std::string verdict;      // its name, or why there is none
  bool passed = false;      // by the program's return value, as the next one too
  bool redirected = false;  // likewise
  Bytes packet;             // as it left
  uint32_t mark = 0;
};

/// Name of a verdict, as in JSON.
std::string name_of(sp_verdict verdict);

class Judged {
 public:
  explicit Judged(const DataPlaneOptions& options = {});
  [[nodiscard]] bool ready() const { return plane_ != nullptr; }
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  DataPlane& plane() { return *plane_; }

  /// Loads a policy and lets it hold alone, under the next generation. Its word.
  uint64_t load(const std::vector<uint8_t>& blob);
  Seen judge(Way way, const Bytes& packet, const Given& given = {});
  /// Forgets flows, fragments, what is counted of peers and how many drops were told; settings and
  /// policy stay.
  void forget();
  /// Time passes for the flows and fragments that are there.
  void age(Duration by);
  [[nodiscard]] std::optional<sp_flow> flow_of(uint16_t peer_port) const;
  [[nodiscard]] size_t flow_count() const;

 private:
  std::unique_ptr<DataPlane> plane_;
  std::string why_not_;
};

}  // namespace sallyport::test
