// SPDX-License-Identifier: BSD-3-Clause
/// A gateway without tables: rules are walked over (agent/policy/naive.h) and flows are kept in a
/// map. Says what the programs must make of a packet. Time stands still but where it is told.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/model/rule.h"
#include "agent/policy/compile.h"
#include "bpf/abi/flow.h"
#include "tests/bpf/judged.h"

namespace sallyport::test {

/// Ports of ICMP are the identifier, twice.
struct Sent {
  PacketKey key;
  Way way = Way::kIn;
  bool syn = true;     // TCP only: else an ACK
  bool reply = false;  // ICMP only: else a request
};

struct Expected {
  sp_verdict verdict = SP_DROP_NO_POLICY;
  uint16_t rule = 0;       // that is counted
  bool continues = false;  // a flow that was there
  bool judged_again = false;
};

class NaiveGateway {
 public:
  explicit NaiveGateway(uint32_t flows_per_peer) : share_(flows_per_peer) {}

  /// Borrowed until the next one. nullptr: none.
  void set_policy(const PolicyInput* policy);
  void set_open(uint32_t peer) { open_ = peer; }
  /// Judges, and records what the programs would record. Nothing: a corner of which the naive walk
  /// cannot tell.
  std::optional<Expected> judge(const Sent& sent);
  void forget();

  struct Flow {
    Sent began;
    uint32_t peer = 0;
    uint16_t rule = 0;
    uint64_t judged_under = 0;
    bool allowed = true;
    bool expired = false;
  };
  Flow* find(const sp_flow_key& key);
  /// The caller does the same to the kernel's entry.
  void remove(const sp_flow_key& key);
  [[nodiscard]] const std::vector<sp_flow_key>& keys() const { return keys_; }
  [[nodiscard]] uint32_t flows_of(uint32_t peer) const { return flows_of_.at(peer); }

 private:
  struct Hash {
    size_t operator()(const sp_flow_key& key) const {
      return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&key), sizeof(key)});
    }
  };
  struct Same {
    bool operator()(const sp_flow_key& a, const sp_flow_key& b) const {
      return std::memcmp(&a, &b, sizeof(a)) == 0;
    }
  };
  Expected judge_flow(Flow& flow);
  std::optional<Expected> judge_first(const Sent& sent, Flow* old);
  [[nodiscard]] std::optional<bool> lacks_room(const Sent& sent, uint32_t peer) const;

  uint32_t share_;
  uint32_t open_ = 0;
  const PolicyInput* policy_ = nullptr;
  uint64_t policies_ = 0;
  std::unordered_map<sp_flow_key, Flow, Hash, Same> flows_;
  std::vector<sp_flow_key> keys_;
  std::array<uint32_t, 64> flows_of_{};
};

sp_flow_key key_of(const Sent& sent);
/// The packet that answers it, or goes the same way on.
Sent answer_to(const Sent& sent);
bool is_icmp(const Sent& sent);

}  // namespace sallyport::test
