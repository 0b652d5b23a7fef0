// SPDX-License-Identifier: BSD-3-Clause
/// The connection to one DERP region: which node to dial, the login, and whether it still lives.
/// Sans-IO; the driver has the stream, frames it (wire/derp.h) and passes packets on itself.
/// Source: tailscale derp/derphttp (timeouts, order of nodes), derp_client.go.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/model/derp_map.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/derp.h"
#include "agent/wire/derp_info.h"

namespace sallyport {

constexpr Duration kDialNode = std::chrono::milliseconds(1500);
constexpr Duration kDialRegion = std::chrono::seconds(10);
constexpr Duration kDerpLogin = std::chrono::seconds(10);
/// The server sends a keepalive every minute.
constexpr Duration kDerpSilence = std::chrono::seconds(120);
/// A ping of ours is answered in this time, or the connection is dead.
constexpr Duration kDerpPong = std::chrono::seconds(3);
constexpr Duration kDerpBackoffMin = std::chrono::milliseconds(250);
constexpr Duration kDerpBackoffMax = std::chrono::seconds(5);
/// A server that asks for a longer absence is not obeyed.
constexpr Duration kDerpRestartMax = std::chrono::seconds(30);

/// TCP, TLS under the node's certificate name, GET derp::kPath. The answer is on_connected() or
/// on_closed() with the same number; any other dial of this region is given up.
struct DialDerp {
  uint64_t dial = 0;
  size_t node = 0;
  friend bool operator==(const DialDerp&, const DialDerp&) = default;
};
/// A whole frame.
struct SendDerp {
  Bytes frame;
  friend bool operator==(const SendDerp&, const SendDerp&) = default;
};
struct CloseDerp {
  uint64_t dial = 0;
  friend bool operator==(const CloseDerp&, const CloseDerp&) = default;
};
struct DerpUp {
  friend bool operator==(const DerpUp&, const DerpUp&) = default;
};
/// `why`: one of ours, or what the driver said.
struct DerpDown {
  std::string why;
  friend bool operator==(const DerpDown&, const DerpDown&) = default;
};
/// The server complains, or (empty) is content again. The text is a stranger's.
struct DerpHealth {
  std::string problem;
  friend bool operator==(const DerpHealth&, const DerpHealth&) = default;
};
/// The server cannot reach that peer any more, or never could.
struct DerpPeerGone {
  NodeKey peer;
  friend bool operator==(const DerpPeerGone&, const DerpPeerGone&) = default;
};
using DerpAction =
    std::variant<DialDerp, SendDerp, CloseDerp, DerpUp, DerpDown, DerpHealth, DerpPeerGone>;
using DerpActions = std::vector<DerpAction>;

enum class DerpState : uint8_t { kOff, kWaiting, kDialing, kLogin, kUp };

class DerpSession {
 public:
  /// `random` and `own` outlive it.
  DerpSession(RandomSource& random, const PrivateKey& own, DerpRegion region);

  DerpActions open(Instant now);
  DerpActions close(Instant now);
  /// Is it our home? Told to the server.
  DerpActions set_home(bool home, Instant now);
  /// The region is another: its connection is made anew.
  DerpActions on_region(const DerpRegion& region, Instant now);
  DerpActions on_connected(uint64_t dial, Instant now);
  DerpActions on_closed(uint64_t dial, std::string_view why, Instant now);
  /// Any frame. Packets only show that the server lives; the driver has them.
  DerpActions on_message(const derp::Message& message, Instant now);
  /// Pings the server; a dead connection is found in seconds.
  DerpActions on_network_changed(Instant now);
  DerpActions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;

  [[nodiscard]] DerpState state() const { return state_; }
  [[nodiscard]] const DerpRegion& region() const { return region_; }
  /// What the server lets us send; after DerpUp.
  [[nodiscard]] const derp::ServerInfo& server_info() const { return server_info_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::optional<Duration> rtt() const { return rtt_; }

 private:
  void dial_next(Instant now, DerpActions& out);
  void begin(Instant now, DerpActions& out);
  void fail(std::string_view why, Instant now, DerpActions& out);
  void wait(Instant now);
  void send(const derp::Message& message, DerpActions& out) const;
  void on_server_key(const derp::ServerKey& key, Instant now, DerpActions& out);
  void on_server_info(const derp::ServerInfoBox& sealed, Instant now, DerpActions& out);

  RandomSource& random_;
  const PrivateKey& own_;
  DerpRegion region_;
  DerpState state_ = DerpState::kOff;
  bool wanted_ = false;
  bool home_ = false;
  uint64_t dial_ = 0;
  std::vector<size_t> order_;  // nodes still to be dialled
  Instant deadline_;           // of what is under way
  Instant region_deadline_;    // of all its nodes
  Duration backoff_ = kDerpBackoffMin;
  std::optional<Duration> restart_in_;
  std::optional<Instant> patient_until_;  // a restart was announced: no growing backoff
  std::optional<BoxKey> box_key_;
  derp::ServerInfo server_info_;
  std::string problem_;
  struct Ping {
    std::array<uint8_t, 8> data{};
    Instant sent;
  };
  std::optional<Ping> ping_;
  std::optional<Duration> rtt_;
};

}  // namespace sallyport
