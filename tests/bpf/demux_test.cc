// SPDX-License-Identifier: BSD-3-Clause
/// One port for WireGuard and the node: what goes where, as whole frames. A test run's device is
/// lo, which forwards nothing here, so that every packet is for us; demux_forward_test has the
/// others.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/bpf/wire_datagrams.h"
#include "tests/support/own_netns.h"

namespace sallyport::test {
namespace {

constexpr uint16_t kWg = 55555, kAgent = 55556, kRelay = 55557;
constexpr uint32_t kOwnMark = 0x80000, kOwnMask = 0xff0000, kDemuxed = 0x04000000;
constexpr std::string_view kPasses = "none";

struct Row {
  std::string_view name;
  Bytes frame;
  std::string_view verdict;
  Bytes after;
  Given given = {};
};

class Demux : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered());
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    set_ports();
  }
  void set_ports() {
    gateway_->plane().paths().set_ports({kWg, kAgent, kRelay, {kOwnMark, kOwnMask}});
  }
  [[nodiscard]] Bytes in(uint16_t to, const Bytes& payload, uint16_t from = 41641) const {
    return ethernet(udp(peer_, from, us_, to, payload));
  }
  [[nodiscard]] Bytes out(uint16_t from, const Bytes& payload) const {
    return ethernet(udp(us_, from, peer_, 41641, payload));
  }
  // A frame with what stands between the IP header and UDP, and the same with another port.
  [[nodiscard]] Bytes with_more(uint16_t to, const Bytes& payload) const {
    const Bytes packet = udp(peer_, 41641, us_, to, payload);
    return ethernet(v6_ ? with_ext_headers(packet, {0, 60}) : with_options(packet, 8));
  }
  [[nodiscard]] Bytes first_fragment(uint16_t to) const {
    return ethernet(fragment(udp(peer_, 41641, us_, to, disco(1400)), 0, 800, 77));
  }
  [[nodiscard]] Bytes without_checksum(uint16_t to) const {
    Bytes frame = in(to, disco());
    frame.at(14 + 20 + 6) = frame.at(14 + 20 + 7) = 0;
    return frame;
  }
  void check(Way way, const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      SCOPED_TRACE(row.name);
      const Seen seen = gateway_->judge(way, row.frame, row.given);
      EXPECT_EQ(seen.verdict, row.verdict);
      EXPECT_EQ(seen.passed, row.verdict == kPasses);
      EXPECT_EQ(seen.packet, row.after);
      const bool to_node = way == Way::kPort && row.frame != row.after;
      EXPECT_EQ(seen.mark, row.given.mark | (to_node ? kDemuxed : 0U));
    }
  }
  // Of the clock that the programs read.
  static void wait_for_a_tick() {
    const auto coarse = [] {
      timespec now{};
      clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
      return std::pair{now.tv_sec, now.tv_nsec};
    };
    for (const auto before = coarse(); coarse() == before;) sched_yield();
  }
  [[nodiscard]] uint64_t counted(sp_path_count what) {
    const auto counts = gateway_->plane().paths().counts();
    return counts ? counts->at(what) : UINT64_MAX;
  }

  const bool v6_ = GetParam();
  const std::string_view us_ = v6_ ? "2001:db8::1" : "198.51.100.1";
  const std::string_view peer_ = v6_ ? "2001:db8:9::9" : "203.0.113.9";
  OwnNetns netns_;
  std::optional<Judged> gateway_;
};

TEST_P(Demux, gives_the_node_what_is_not_wireguards) {
  const auto moves = [this](std::string_view name, const Bytes& payload) {
    return Row{name, in(kWg, payload), kPasses, in(kAgent, payload)};
  };
  const auto stays = [this](std::string_view name, const Bytes& payload) {
    return Row{name, in(kWg, payload), kPasses, in(kWg, payload)};
  };
  std::vector<Row> rows{
      moves("a disco message", disco()),
      moves("the shortest disco message", disco(16)),
      moves("a long one", disco(1300)),
      stays("one that ends within its tag", disco(15)),
      stays("the magic alone", padded({'T', 'S', 0xf0, 0x9f, 0x92, 0xac}, 6)),
      stays("nearly the magic", padded({'T', 'S', 0xf0, 0x9f, 0x92, 0xad}, 100)),
      moves("a STUN answer", stun(0x0101)),
      moves("a STUN error", stun(0x0111)),
      stays("a STUN request", stun(0x0001)),
      stays("an answer without the cookie", padded({1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x43}, 32)),
      stays("an answer that ends within its header", stun(0x0101, 19)),
      moves("disco in Geneve", geneve(0x7a11, true)),
      moves("disco in Geneve, no control", geneve(0x7a11)),
      moves("WireGuard in Geneve", geneve(0x7a12)),
      stays("another protocol in Geneve", geneve(0x6558)),
      stays("another version of Geneve", padded({0x40, 0, 0x7a, 0x12, 1, 2, 3, 0}, 100)),
      moves("critical options", padded({0, 0x40, 0x7a, 0x12, 1, 2, 3, 0}, 100)),
      stays("a reserved bit", padded({0, 0x01, 0x7a, 0x12, 1, 2, 3, 0}, 100)),
      stays("a reserved byte", padded({0, 0, 0x7a, 0x12, 1, 2, 3, 4}, 100)),
      stays("WireGuard's initiation", initiation()),
      stays("its response", response()),
      stays("its cookie", wireguard(3, 64)),
      stays("its data", data()),
      stays("its keepalive", data(32)),
      stays("junk", Bytes(100, 0x77)),
      stays("little junk", Bytes(3, 0x77)),
      stays("nothing", {}),
      {"behind options or extension headers", with_more(kWg, disco()), kPasses,
       with_more(kAgent, disco())},
      {"the first fragment of disco", first_fragment(kWg), kPasses, first_fragment(kAgent)},
      {"another port", in(kWg + 10, disco()), kPasses, in(kWg + 10, disco())},
      {"coalesced disco",
       in(kWg, disco()),
       kPasses,
       in(kAgent, disco()),
       {.gso_size = 62, .gso_segs = 2}},
      {"coalesced data",
       in(kWg, data(256)),
       kPasses,
       in(kWg, data(256)),
       {.gso_size = 128, .gso_segs = 2}},
      {"TCP on that port", ethernet(tcp(peer_, 1, us_, kWg, kSyn)), kPasses,
       ethernet(tcp(peer_, 1, us_, kWg, kSyn))},
  };
  if (!v6_) {
    rows.push_back(
        {"disco without a checksum", without_checksum(kWg), kPasses, without_checksum(kAgent)});
  }
  check(Way::kPort, rows);
  EXPECT_GT(counted(SP_PATH_TO_NODE_DISCO), 4U);
  EXPECT_EQ(counted(SP_PATH_TO_NODE_STUN), 2U);
  EXPECT_EQ(counted(SP_PATH_TO_NODE_GENEVE), 4U);
  EXPECT_EQ(counted(SP_PATH_UNREADABLE), 0U);
}

TEST_P(Demux, lets_no_wire_name_the_nodes_port) {
  const auto refused = [](std::string_view name, const Bytes& frame) {
    return Row{name, frame, "node_port", frame};
  };
  check(Way::kPort,
        {refused("disco", in(kAgent, disco())), refused("a byte", in(kAgent, {1})),
         refused("nothing", in(kAgent, {})), refused("WireGuard's data", in(kAgent, data())),
         refused("behind options or extension headers", with_more(kAgent, disco())),
         refused("a first fragment", first_fragment(kAgent))});
}

// A bridge and its port, a bond and its slave both see it.
TEST_P(Demux, knows_at_a_second_port_what_it_gave_the_node_at_the_first) {
  const Seen first = gateway_->judge(Way::kPort, in(kWg, disco()));
  ASSERT_EQ(first.packet, in(kAgent, disco()));
  const Seen second = gateway_->judge(Way::kPort, first.packet, {.mark = first.mark});
  EXPECT_TRUE(second.passed) << second.verdict;
  EXPECT_EQ(second.packet, first.packet);
}

TEST_P(Demux, gives_the_nodes_packets_wireguards_port) {
  const auto marked = [](uint32_t mark) { return Given{.mark = mark}; };
  const Bytes fragment_of_node =
      ethernet(fragment(udp(us_, kAgent, peer_, 41641, disco(1400)), 0, 800, 7));
  const Bytes fragment_after =
      ethernet(fragment(udp(us_, kWg, peer_, 41641, disco(1400)), 0, 800, 7));
  check(
      Way::kPortOut,
      {{"the node's", out(kAgent, disco()), kPasses, out(kWg, disco()), marked(kOwnMark)},
       {"with other bits in its mark", out(kAgent, stun(1)), kPasses, out(kWg, stun(1)),
        marked(kOwnMark | 0x11)},
       {"a group of the node's",
        out(kAgent, disco(62)),
        kPasses,
        out(kWg, disco(62)),
        {.mark = kOwnMark, .gso_size = 62, .gso_segs = 2}},
       {"the node's first fragment", fragment_of_node, kPasses, fragment_after, marked(kOwnMark)},
       {"a LAN host's on the same port", out(kAgent, disco()), kPasses, out(kAgent, disco())},
       {"with another mark", out(kAgent, disco()), kPasses, out(kAgent, disco()), marked(0x90000)},
       {"WireGuard's", out(kWg, data()), kPasses, out(kWg, data()), marked(kOwnMark)},
       {"another socket's", out(999, disco()), kPasses, out(999, disco()), marked(kOwnMark)}});
  EXPECT_EQ(counted(SP_PATH_FROM_NODE), 5U);
}

TEST_P(Demux, does_nothing_without_a_node_that_holds_paths) {
  gateway_->plane().paths().set_ports({});
  const std::vector<Row> same{{"disco", in(kWg, disco()), kPasses, in(kWg, disco())},
                              {"to the node", in(kAgent, disco()), kPasses, in(kAgent, disco())},
                              {"to port 0", in(0, disco()), kPasses, in(0, disco())}};
  check(Way::kPort, same);
  check(Way::kPortOut,
        {{"from the node", out(kAgent, disco()), kPasses, out(kAgent, disco()), {kOwnMark}}});
  EXPECT_EQ(gateway_->plane().paths().ports(), PathPorts{});
}

// A peer's source address does not come in by a port, whatever it carries.
TEST_P(Demux, comes_after_the_check_of_the_source) {
  ASSERT_NE(gateway_->load(rules_of_gateway().blob()), 0U);
  const Bytes forged = ethernet(udp(v6_ ? "fd99::2" : "10.99.0.2", 41641, us_, kWg, disco()));
  check(Way::kPort, {{"disco of a peer's address", forged, "spoofed_source", forged}});
}

TEST_P(Demux, tells_where_wireguards_packets_came_from) {
  PathMaps& paths = gateway_->plane().paths();
  const Endpoint peer{*IpAddress::parse(peer_), 41641};
  const Endpoint other{peer.address, 41642};
  ASSERT_TRUE(paths.watch(peer, {}));
  ASSERT_TRUE(paths.watch(other, {}));
  gateway_->judge(Way::kPort, in(kWg, disco()));
  gateway_->judge(Way::kPort, in(kWg + 1, data()));
  gateway_->judge(Way::kPort, in(kWg, data(), 7));
  EXPECT_FALSE(paths.heard(peer).value());
  gateway_->judge(Way::kPort, in(kWg, data()));
  gateway_->judge(Way::kPort, in(kWg, data(512)), {.gso_size = 128, .gso_segs = 4});
  const auto heard = paths.heard(peer).value();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->packets, 5U);
  EXPECT_GT(heard->at_ns, 0U);
  EXPECT_FALSE(paths.heard(other).value());
  ASSERT_TRUE(paths.watch(peer, std::chrono::seconds(1)));
  EXPECT_EQ(paths.heard(peer).value()->packets, 5U);  // a change of wish keeps the count
  ASSERT_TRUE(paths.forget(peer));
  EXPECT_FALSE(paths.heard(peer).value());
}

TEST_P(Demux, drops_a_handshake_that_crosses_ours) {
  PathMaps& paths = gateway_->plane().paths();
  const Endpoint peer{*IpAddress::parse(peer_), 41641};
  const Bytes theirs = in(kWg, initiation());
  const Bytes answer = in(kWg, response());
  const Bytes ours = out(kWg, initiation());
  const auto we_begin = [&] {
    const Seen seen = gateway_->judge(Way::kPortOut, ours, {.mark = kOwnMark});
    EXPECT_EQ(seen.packet, ours);
  };
  const auto meets = [&] { return gateway_->judge(Way::kPort, theirs).verdict; };

  ASSERT_TRUE(paths.watch(peer, std::chrono::hours(1)));
  EXPECT_EQ(meets(), kPasses);  // we have not begun
  we_begin();
  EXPECT_EQ(meets(), "crossing_handshake");
  EXPECT_EQ(gateway_->judge(Way::kPort, in(kWg, initiation(), 7)).verdict, kPasses);
  EXPECT_EQ(gateway_->judge(Way::kPort, in(kWg, data())).verdict, kPasses);
  EXPECT_EQ(meets(), "crossing_handshake");
  EXPECT_EQ(gateway_->judge(Way::kPort, answer).verdict, kPasses);
  EXPECT_EQ(meets(), kPasses);  // ours is done

  we_begin();
  EXPECT_EQ(meets(), "crossing_handshake");
  ASSERT_TRUE(paths.watch(peer, std::chrono::nanoseconds(1)));
  wait_for_a_tick();
  EXPECT_EQ(meets(), kPasses);  // we have yielded for long enough

  ASSERT_TRUE(paths.watch(peer, {}));
  we_begin();
  EXPECT_EQ(meets(), kPasses);  // the other end yields
  // Nobody else's packet begins our handshake.
  ASSERT_TRUE(paths.watch(peer, std::chrono::hours(1)));
  EXPECT_EQ(gateway_->judge(Way::kPort, answer).verdict, kPasses);
  gateway_->judge(Way::kPortOut, ours);
  EXPECT_EQ(meets(), kPasses);
}

INSTANTIATE_TEST_SUITE_P(families, Demux, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

}  // namespace
}  // namespace sallyport::test
