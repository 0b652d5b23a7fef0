// SPDX-License-Identifier: BSD-3-Clause
/// A node's paths led by strangers, a relay and a peer that want it harm: nothing spins, nothing
/// grows without bound, and what is remembered can be read again.
///
/// The input is steps {u8 what, u8 length, bytes}. What a peer says is sealed here, or hardly any
/// message would be opened.
#include <cstdlib>

#include "agent/node/parking.h"
#include "agent/node/paths.h"
#include "tests/support/derp_login.h"
#include "tests/support/seeded_random.h"

namespace {

using namespace sallyport;

constexpr uint16_t kRegion = 900;
constexpr size_t kMaxSteps = 64;

PrivateKey fixed_key(uint8_t seed) {
  std::array<uint8_t, 32> raw{};
  raw.fill(seed);
  return clamped(raw);
}

class World {
 public:
  World() : own_(fixed_key(1)), node_(fixed_key(2)), disco_(fixed_key(3)) {
    us_.on_node_key(own_, now_);
    DerpMap map;
    map.regions[kRegion].id = kRegion;
    DerpNode& node = map.regions[kRegion].nodes.emplace_back();
    node.host_name = "derp.example.net";
    us_.on_derp_map(map, now_);
    us_.on_local_addresses({*IpAddress::parse("198.51.100.1")}, 20001, now_);
    peer_.node_key = node_.public_key();
    peer_.disco_key.bytes = disco_.public_key().bytes;
    peer_.home_region = kRegion;
    peer_.endpoints = {*Endpoint::parse("203.0.113.1:41641")};
    us_.on_peer(peer_, now_);
    PathPeer other = peer_;
    other.node_key.bytes[0] ^= 1;
    other.disco_key.bytes[0] ^= 1;
    us_.on_peer(other, now_);
    box_ = BoxKey::between(disco_, us_.disco_key().bytes);
    log_in();
  }

  void step(uint8_t what, ByteView bytes) {
    const UdpArrival arrival{
        {IpAddress::v4(0xcb007100U + what / 16U), 41641}, *IpAddress::parse("198.51.100.1"), 3};
    switch (what % 10) {
      case 0:
        return check(us_.on_datagram(arrival, bytes, now_));
      case 1:
        return check(us_.on_datagram(arrival, sealed(bytes), now_));
      case 2:
        return check(
            us_.on_derp_message(kRegion, derp::RecvPacket{peer_.node_key, sealed(bytes)}, now_)
                .actions);
      case 3:
        return check(
            us_.on_derp_message(kRegion, derp::RecvPacket{peer_.node_key, bytes}, now_).actions);
      case 4:
        return frame(bytes);
      case 5:
        return check(us_.on_parked(*us_.parking_of(peer_.node_key), bytes, now_).actions);
      case 6:
        now_ += std::chrono::milliseconds(bytes.empty() ? 1 : bytes[0] * 20);
        return wake();
      case 7:
        return check(us_.on_observed(
            peer_.node_key,
            {now_, bytes.size() % 2 == 0 ? std::nullopt : std::optional(now_), bytes.size()},
            now_));
      case 8:
        return check(us_.on_network_changed(now_));
      default:
        return check(us_.ask(peer_.node_key, bytes.size() % 2 == 1, now_));
    }
  }

  void finish() {
    wake();
    const auto parking = us_.parking_of(peer_.node_key);
    if (!parking || !is_parking(*parking)) std::abort();
    if (!parse_paths_memory(us_.memory())) std::abort();
    for (const RegionStatus& region : us_.regions()) {
      if (region.id != kRegion) std::abort();
    }
  }

 private:
  void log_in() {
    for (const PathsAction& action :
         us_.on_parked(*us_.parking_of(peer_.node_key), Bytes(148, 0), now_).actions)
      dialled(action);
    Bytes initiation(148, 0);
    initiation[0] = 1;
    for (const PathsAction& action :
         us_.on_parked(*us_.parking_of(peer_.node_key), initiation, now_).actions)
      dialled(action);
  }
  void dialled(const PathsAction& action) {
    const auto* const dial = std::get_if<DialRegion>(&action);
    if (dial == nullptr) return;
    us_.on_derp_connected(kRegion, dial->dial, now_);
    DerpLogin server{.key = fixed_key(4), .client = {}, .sealed = {}};
    for (const PathsAction& answer : us_.on_derp_message(kRegion, server.hello(), now_).actions) {
      if (const auto* const sent = std::get_if<SendFrame>(&answer))
        us_.on_derp_message(kRegion, server.answer(sent->frame), now_);
    }
  }
  void frame(ByteView bytes) {
    const auto next = derp::next_frame(bytes, derp::kMaxBody);
    if (!next || !*next) return;
    const auto message = derp::parse(**next);
    if (message) check(us_.on_derp_message(kRegion, *message, now_).actions);
  }
  Bytes sealed(ByteView message) {
    Bytes out(disco::kOverhead + message.size());
    std::ranges::copy(disco::kMagic, out.begin());
    std::ranges::copy(peer_.disco_key.bytes, out.begin() + disco::kMagic.size());
    box_->seal(BoxNonce{}, message, std::span(out).subspan(disco::kHead));
    return out;
  }
  void wake() {
    for (int turn = 0; turn < 1000; ++turn) {
      const auto next = us_.next_wake();
      if (!next || *next > now_) return;
      check(us_.on_wake(now_));
    }
    std::abort();  // it spins
  }
  /// One message of a stranger moves so much at most.
  static void check(const PathsActions& actions) {
    if (actions.size() > 4 * kMaxCandidates) std::abort();
    for (const PathsAction& action : actions) {
      const auto* const send = std::get_if<SendDatagram>(&action);
      if (send != nullptr && (!is_possible(send->to) || send->bytes.empty())) std::abort();
    }
  }

  SeededRandom random_{1};
  Instant now_{std::chrono::hours(1)};
  PrivateKey own_;
  PrivateKey node_;
  PrivateKey disco_;
  Paths us_{random_, {}, now_};
  PathPeer peer_;
  std::optional<BoxKey> box_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader in(ByteView(data, size));
  World world;
  for (size_t step = 0; step < kMaxSteps && in.left() >= 2; ++step) {
    const uint8_t what = in.u8();
    const size_t length = std::min<size_t>(in.u8(), in.left());
    world.step(what, in.take(length));
  }
  world.finish();
  return 0;
}
