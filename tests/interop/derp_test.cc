// SPDX-License-Identifier: BSD-3-Clause
// Our DERP client, machine and connections, against the reference's DERP server, TLS over lo:
//
//   this process: two nodes, each DerpPool + DerpConnections --TLS--> reference: derpserver
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "agent/drive/node/derp_connection.h"
#include "agent/drive/node/https_probe.h"
#include "agent/drive/node/sandbox.h"
#include "agent/io/file.h"
#include "agent/io/random.h"
#include "agent/node/derp_pool.h"
#include "agent/wire/tailcfg/map_response.h"
#include "tests/interop/reference.h"

namespace sallyport::interop {
namespace {

/// A node that does nothing but DERP.
class DerpNodeOfOurs {
 public:
  DerpNodeOfOurs(io::Loop& loop, const std::string& ca_file)
      : loop_(loop),
        tls_(*io::TlsContext::client(ca_file)),
        wake_(loop, [this] { run(pool_.on_wake(io::boot_now())); }),
        sweep_(loop, [this] { closed_.clear(); }) {}

  void join(const DerpMap& map, uint16_t home) {
    map_ = map;
    run(pool_.on_map(map, io::boot_now()));
    run(pool_.set_home(home, io::boot_now()));
  }
  void send(uint16_t region, const NodeKey& peer, const std::string& packet) {
    const auto sending = pool_.send(region, peer, io::view(packet), io::boot_now());
    run(sending.actions);
    if (sending.route == DerpRoute::kNow && !forward(region, peer, io::view(packet))) ++dropped;
  }
  [[nodiscard]] bool is_up(uint16_t region) const {
    const DerpSession* const session = pool_.session(region);
    return session != nullptr && session->state() == DerpState::kUp;
  }
  [[nodiscard]] NodeKey node_key() const { return own_.public_key(); }

  std::map<NodeKey, std::vector<std::string>> got;
  std::vector<std::string> failures;  // why connections ended
  size_t dropped = 0;

 private:
  void run(const PoolActions& actions) {
    for (const PoolAction& action : actions) {
      if (const auto* held = std::get_if<SendHeld>(&action)) {
        if (!forward(held->region, held->peer, held->packet)) ++dropped;
        continue;
      }
      const auto& [region, of_region] = std::get<RegionAction>(action);
      if (const auto* dial = std::get_if<DialDerp>(&of_region)) open(region, *dial);
      if (const auto* send = std::get_if<SendDerp>(&of_region)) {
        EXPECT_TRUE(connections_.at(region)->send(send->frame));
      }
      if (std::holds_alternative<CloseDerp>(of_region)) close(region);
    }
    if (const auto next = pool_.next_wake()) wake_.arm(*next);
  }
  void open(uint16_t region, const DialDerp& dial) {
    close(region);
    const uint64_t number = dial.dial;
    auto& connection = connections_[region];
    connection = std::make_unique<DerpConnection>(
        loop_, tls_, map_.regions.at(region).nodes.at(dial.node),
        DerpConnectionHooks{
            .on_connected = [this, region,
                             number] { run(pool_.on_connected(region, number, io::boot_now())); },
            .on_message = [this, region](const derp::Message& message) { hear(region, message); },
            .on_closed =
                [this, region, number](const std::string& why) {
                  failures.push_back(why);
                  close(region);
                  run(pool_.on_closed(region, number, why, io::boot_now()));
                }});
    EXPECT_TRUE(connection->connect());
  }
  void hear(uint16_t region, const derp::Message& message) {
    if (const auto* packet = std::get_if<derp::RecvPacket>(&message)) {
      got[packet->from].push_back(io::text(packet->packet));
    }
    run(pool_.on_message(region, message, io::boot_now()));
  }
  bool forward(uint16_t region, const NodeKey& peer, ByteView packet) {
    return connections_.at(region)->send_packet(peer, packet);
  }
  void close(uint16_t region) {
    closed_.push_back(std::move(connections_[region]));
    sweep_.arm(io::boot_now());
  }

  io::Loop& loop_;
  io::KernelRandom random_;
  PrivateKey own_ = PrivateKey::generate();
  io::TlsContext tls_;
  DerpMap map_;
  DerpPool pool_{random_, own_};
  std::map<uint16_t, std::unique_ptr<DerpConnection>> connections_;
  std::vector<std::unique_ptr<DerpConnection>> closed_;
  io::Timer wake_;
  io::Timer sweep_;
};

enum class By : uint8_t { kName, kPin, kNothing };

class interop_derp : public WithReference {
 protected:
  ~interop_derp() override {
    if (!ca_file_.empty()) ::unlink(ca_file_.c_str());
  }
  /// Two regions, whose nodes are verified in this way.
  void serve(By by, std::vector<std::string> options = {}) {
    options.emplace_back("-derp-at=127.0.0.1,127.0.0.1");
    reference_ = std::make_unique<Reference>(*loop_, options);
    const auto map = tailcfg::parse_derp_map(reference_->derp_map.dump());
    ASSERT_TRUE(map && map->regions);
    map_.regions = *map->regions;
    for (auto& [id, region] : map_.regions) {
      DerpNode& node = region.nodes.at(0);
      const Json shown = reference_->ask("derp certificate " + std::to_string(id));
      node.insecure_for_tests = by == By::kNothing;
      node.host_name = "example.com";  // a name of the server's certificate
      if (by == By::kPin) node.cert_name = shown["pin"];
      ca_pem_ = shown["pem"];
    }
    // By its pin alone: nobody vouches for it.
    if (by != By::kName) return;
    ca_file_ = testing::TempDir() + "/sallyport-interop-" + std::to_string(::getpid()) + ".pem";
    ASSERT_TRUE(io::write_file_atomic(ca_file_, ca_pem_, 0600));
  }
  /// Packets both ways through the region, in lots that the server's queues hold.
  void pass(DerpNodeOfOurs& one, DerpNodeOfOurs& other, uint16_t region) {
    std::vector<std::string> sent;
    one.got.clear();
    other.got.clear();
    for (int lot = 0; lot < 10; ++lot) {
      for (int i = 0; i < 10; ++i) {
        sent.push_back(std::to_string(lot) + "." + std::to_string(i) + "/" +
                       std::string(static_cast<size_t>(lot * 140), 'p'));
        one.send(region, other.node_key(), sent.back());
        other.send(region, one.node_key(), sent.back());
      }
      ASSERT_TRUE(until([&] {
        return one.got[other.node_key()].size() == sent.size() &&
               other.got[one.node_key()].size() == sent.size();
      })) << one.got[other.node_key()].size()
          << " and " << other.got[one.node_key()].size() << " of " << sent.size();
    }
    EXPECT_EQ(one.got[other.node_key()], sent);
    EXPECT_EQ(other.got[one.node_key()], sent);
    EXPECT_EQ(one.dropped + other.dropped, 0U);
  }
  void two_nodes_talk() {
    DerpNodeOfOurs one(*loop_, ca_file_);
    DerpNodeOfOurs other(*loop_, ca_file_);
    one.join(map_, 1);
    other.join(map_, 1);
    ASSERT_TRUE(until([&] { return one.is_up(1) && other.is_up(1); }))
        << testing::PrintToString(one.failures);
    pass(one, other, 1);
    EXPECT_TRUE(one.failures.empty()) << testing::PrintToString(one.failures);
  }

  std::unique_ptr<Reference> reference_;
  DerpMap map_;
  std::string ca_pem_;
  std::string ca_file_;
};

TEST_F(interop_derp, packets_pass_both_ways_by_name) {
  serve(By::kName);
  two_nodes_talk();
}

TEST_F(interop_derp, packets_pass_both_ways_by_pin) {
  serve(By::kPin);
  two_nodes_talk();
}

TEST_F(interop_derp, packets_pass_without_a_fast_start) {
  serve(By::kName, {"-derp-plain"});
  two_nodes_talk();
}

TEST_F(interop_derp, a_server_with_another_certificate_is_refused) {
  serve(By::kPin);
  for (auto& [id, region] : map_.regions) region.nodes[0].cert_name.back() ^= 1;
  DerpNodeOfOurs node(*loop_, ca_file_);
  node.join(map_, 1);
  ASSERT_TRUE(until([&] { return node.failures.size() >= 2; }));
  EXPECT_FALSE(node.is_up(1));
  EXPECT_NE(node.failures[0].find("not the pinned certificate"), std::string::npos)
      << node.failures[0];

  // And one whose name nobody vouches for.
  for (auto& [id, region] : map_.regions) region.nodes[0].cert_name.clear();
  DerpNodeOfOurs by_name(*loop_, ca_file_);
  by_name.join(map_, 1);
  ASSERT_TRUE(until([&] { return by_name.failures.size() >= 2; }));
  EXPECT_FALSE(by_name.is_up(1));
}

TEST_F(interop_derp, another_region_is_dialled_when_it_is_needed) {
  serve(By::kPin);
  DerpNodeOfOurs one(*loop_, ca_file_);
  DerpNodeOfOurs other(*loop_, ca_file_);
  one.join(map_, 1);
  other.join(map_, 2);
  ASSERT_TRUE(until([&] { return one.is_up(1) && other.is_up(2); }));
  EXPECT_FALSE(one.is_up(2));
  one.send(2, other.node_key(), "held until the login is done");
  ASSERT_TRUE(until([&] { return other.got[one.node_key()].size() == 1; }));
  pass(one, other, 2);
}

TEST_F(interop_derp, a_server_goes_and_comes_back) {
  serve(By::kPin);
  DerpNodeOfOurs one(*loop_, ca_file_);
  DerpNodeOfOurs other(*loop_, ca_file_);
  one.join(map_, 1);
  other.join(map_, 1);
  ASSERT_TRUE(until([&] { return one.is_up(1) && other.is_up(1); }));
  reference_->ask("derp stop 1");
  ASSERT_TRUE(until([&] { return !one.is_up(1) && !other.is_up(1); }));
  reference_->ask("derp start 1");
  ASSERT_TRUE(until([&] { return one.is_up(1) && other.is_up(1); }))
      << testing::PrintToString(one.failures);
  pass(one, other, 1);
}

TEST_F(interop_derp, how_far_it_is_is_measured) {
  serve(By::kPin);
  const auto tls = *io::TlsContext::client(ca_file_);
  std::optional<std::optional<Duration>> answer;
  HttpsProbe probe(*loop_, tls, map_.regions.at(1).nodes.at(0),
                   [&](std::optional<Duration> latency) { answer = latency; });
  ASSERT_TRUE(probe.connect());
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  ASSERT_TRUE(*answer);
  EXPECT_GT(**answer, Duration(0));
}

// All of it again, where it will live: no descriptor opened for writing, a restricted ring.
TEST_F(interop_derp, works_inside_the_sandbox) {
  serve(By::kPin);
  const pid_t child = ::fork();
  if (child == 0) {
    io::LoopOptions options;
    options.allowed_operations = io::own_operations();
    const auto outside = std::exchange(loop_, io::make_loop(options));
    if (!loop_->stream_buffers() || !close_sandbox()) ::_exit(2);
    two_nodes_talk();
    ::_exit(HasFailure() ? 1 : 0);
  }
  int status = -1;  // it has a deadline of its own
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "exit " << WEXITSTATUS(status) << ", signal " << WTERMSIG(status);
}

}  // namespace
}  // namespace sallyport::interop
