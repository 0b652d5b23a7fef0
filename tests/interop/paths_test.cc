// SPDX-License-Identifier: BSD-3-Clause
// Two nodes' paths over the reference's DERP server and STUN, on lo. Each has a socket that stands
// for kernel WireGuard, and one that has WireGuard's port on an address of its own, as demux would
// have it:
//
//   127.0.0.1:P  "WireGuard" --- 127.x.y.z:R ---> relay socket --+-- TLS --> reference: DERP
//   127.0.1.N:P  node socket --- UDP -----------> the other, and reference: STUN
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>

#include "agent/drive/node/paths_driver.h"
#include "agent/io/sockaddr.h"
#include "agent/io/udp.h"
#include "agent/wire/tailcfg/map_response.h"
#include "tests/interop/reference.h"

namespace sallyport::interop {
namespace {

using namespace std::chrono_literals;

Bytes wireguard(WireguardType type, uint8_t mark) {
  Bytes out(148, mark);
  out[0] = static_cast<uint8_t>(type);
  out[1] = out[2] = out[3] = 0;
  return out;
}

DerpMap derp_map_of(const Reference& reference) {
  const auto update = tailcfg::parse_derp_map(reference.derp_map.dump());
  EXPECT_TRUE(update);
  DerpMap out;
  if (update && update->regions) out.regions = *update->regions;
  return out;
}

/// WireGuard's port on both addresses.
struct Ports {
  Fd node;
  Fd wireguard;
  uint16_t number = 0;
};
Ports open_ports(const IpAddress& address) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    Ports out;
    out.node = *io::open_udp({address, 0});
    out.number = io::local_endpoint(out.node)->port;
    auto wireguard = io::open_udp({IpAddress::v4(0x7f000001), out.number});
    if (!wireguard) continue;  // somebody else's
    out.wireguard = std::move(wireguard).value();
    return out;
  }
  ADD_FAILURE() << "no port is free on both addresses";
  return {};
}

class OurNode {
 public:
  OurNode(io::Loop& loop, const IpAddress& address, std::string memory = {})
      : address_(address), loop_(loop) {
    start(std::move(memory));
  }
  OurNode(const OurNode&) = delete;
  OurNode& operator=(const OurNode&) = delete;
  ~OurNode() = default;

  void start(std::string memory) {
    driver.reset();
    wireguard_ = {};
    Ports ports = open_ports(address_);
    port_ = ports.number;
    wireguard_ = *io::UdpSocket::adopt(loop_, std::move(ports.wireguard), {},
                                       {.on_datagram = [this](const io::Received& received) {
                                         decrypted.emplace_back(
                                             received.from,
                                             Bytes(received.bytes.begin(), received.bytes.end()));
                                       }});
    PathsDriverOptions options;
    options.node_socket = std::move(ports.node);
    options.relay_socket = *io::open_udp({IpAddress::v4(0), 0});
    options.wg_port = port_;
    options.relay_port = io::local_endpoint(options.relay_socket)->port;
    options.memory = std::move(memory);
    auto made = PathsDriver::create(
        loop_, std::move(options),
        {.on_kernel_steps =
             [this](const NodeKey&, const std::vector<KernelStep>& done) {
               steps.insert(steps.end(), done.begin(), done.end());
             },
         .on_endpoints =
             [this](const std::vector<Endpoint>& found,
                    const std::vector<tailcfg::EndpointType>& types) {
               EXPECT_EQ(found.size(), types.size());
               endpoints = found;
               if (on_news) on_news();
             },
         .on_home =
             [this](uint16_t region, const NetInfo&) {
               home = region;
               if (on_news) on_news();
             },
         .on_status_changed = [](const NodeKey&, const PathStatus&) {},
         .want_observed = [this](std::span<const NodeKey> peers) { observed += peers.size(); },
         .save_memory =
             [this](std::string_view text) {
               saved = text;
               return Result<void>();
             }});
    ASSERT_TRUE(made) << made.error().text();
    driver = std::move(made).value();
    driver->on_local_addresses({address_});
    driver->set_node_key(key);
  }
  /// As the netmap describes it.
  [[nodiscard]] NetmapNode as_peer(int64_t id) const {
    NetmapNode out;
    out.id = NodeId{id};
    out.node_key = key.public_key();
    out.disco_key = driver->disco_key();
    out.home_derp = home;
    out.endpoints = endpoints;
    return out;
  }
  void send(const Endpoint& to, const Bytes& packet) {
    EXPECT_TRUE(wireguard_.send({.bytes = packet, .to = to}));
  }
  [[nodiscard]] Endpoint direct() const { return {address_, port_}; }
  [[nodiscard]] bool points_at(const Endpoint& endpoint) const {
    return std::ranges::any_of(steps, [&](const KernelStep& step) {
      const auto* point = std::get_if<PointAt>(&step);
      return point != nullptr && point->endpoint == endpoint;
    });
  }

  const PrivateKey key = PrivateKey::generate();
  std::function<void()> on_news;
  std::vector<Endpoint> endpoints;
  uint16_t home = 0;
  std::vector<KernelStep> steps;
  size_t observed = 0;
  std::string saved;
  std::vector<std::pair<Endpoint, Bytes>> decrypted;
  std::unique_ptr<PathsDriver> driver;

 private:
  IpAddress address_;
  io::Loop& loop_;
  uint16_t port_ = 0;
  io::UdpSocket wireguard_;
};

class interop_paths : public WithReference {
 protected:
  void SetUp() override {
    WithReference::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    reference_ = std::make_unique<Reference>(*loop_, std::vector<std::string>{"-derp"});
    map_ = derp_map_of(*reference_);
    left_ = std::make_unique<OurNode>(*loop_, IpAddress::v4(0x7f000101));
    right_ = std::make_unique<OurNode>(*loop_, IpAddress::v4(0x7f000102));
  }
  /// Each is told of the other, and of its news.
  void join() {
    left_->on_news = [this] { tell(*left_, 1, *right_); };
    right_->on_news = [this] { tell(*right_, 2, *left_); };
    left_->on_news();
    right_->on_news();
  }
  void tell(const OurNode& of, int64_t id, OurNode& to) {
    Netmap netmap;
    netmap.derp_map = map_;
    netmap.peers[NodeId{id}] = of.as_peer(id);
    to.driver->on_netmap(netmap, {}, true);
  }
  static bool is_up(const OurNode& node) {
    const auto regions = node.driver->regions();
    return regions.size() == 1 && regions[0].home && regions[0].state == DerpState::kUp;
  }
  [[nodiscard]] static PathKind kind(const OurNode& of, const OurNode& to) {
    const auto status = of.driver->status(to.key.public_key());
    return status ? status->kind : PathKind::kNone;
  }

  std::unique_ptr<Reference> reference_;
  DerpMap map_;
  std::unique_ptr<OurNode> left_;
  std::unique_ptr<OurNode> right_;
};

TEST_F(interop_paths, first_by_derp_then_direct) {
  join();
  ASSERT_TRUE(until([&] { return is_up(*left_) && is_up(*right_); }));
  const Bytes initiation = wireguard(WireguardType::kInitiation, 0xab);
  const auto parking = left_->driver->parking_of(right_->key.public_key());
  ASSERT_TRUE(parking);
  EXPECT_EQ(left_->driver->endpoint_of(right_->key.public_key()), (WireguardEndpoint{*parking, 0}));
  left_->send(*parking, initiation);
  ASSERT_TRUE(until([&] { return !right_->decrypted.empty(); }));
  EXPECT_EQ(right_->decrypted[0].first, right_->driver->parking_of(left_->key.public_key()));
  EXPECT_EQ(right_->decrypted[0].second, initiation);
  const Bytes response = wireguard(WireguardType::kResponse, 0xcd);
  right_->send(right_->decrypted[0].first, response);

  ASSERT_TRUE(until([&] {
    return left_->points_at(right_->direct()) && right_->points_at(left_->direct()) &&
           !left_->decrypted.empty();
  }));
  EXPECT_EQ(left_->decrypted[0], (std::pair{*parking, response}));
  EXPECT_EQ(kind(*left_, *right_), PathKind::kDirect);
  EXPECT_EQ(left_->driver->endpoint_of(right_->key.public_key()),
            (WireguardEndpoint{right_->direct(), kDirectKeepaliveS}));
  EXPECT_TRUE(until([&] { return left_->observed > 0; }));
}

TEST_F(interop_paths, a_person_pings) {
  join();
  ASSERT_TRUE(until([&] { return is_up(*left_) && is_up(*right_); }));
  std::optional<PingReply> reply;
  bool answered = false;
  const auto ping = [&](bool probe_all) {
    answered = false;
    left_->driver->ping(right_->key.public_key(), probe_all,
                        [&](const std::optional<PingReply>& said) {
                          reply = said;
                          answered = true;
                        });
    EXPECT_TRUE(until([&] { return answered; }));
  };
  ping(true);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->region, 1);
  ASSERT_TRUE(until([&] { return kind(*left_, *right_) == PathKind::kDirect; }));
  ping(false);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->endpoint, right_->direct());
  EXPECT_GT(reply->rtt, Duration(0));

  left_->driver->ping(PrivateKey::generate().public_key(), false,
                      [&](const std::optional<PingReply>& said) {
                        reply = said;
                        answered = true;
                      });
  EXPECT_TRUE(until([&] { return !reply; })) << "nobody has that key";
}

TEST_F(interop_paths, netcheck_by_stun) {
  join();
  std::optional<NetcheckReport> report;
  left_->driver->netcheck([&](const NetcheckReport& said) { report = said; });
  ASSERT_TRUE(until([&] { return report.has_value(); }));
  EXPECT_TRUE(report->udp);
  EXPECT_EQ(report->home, 1);
  EXPECT_EQ(report->seen, std::vector{left_->direct()});
  EXPECT_TRUE(report->latency_v4.contains(1));
}

TEST_F(interop_paths, netcheck_by_https_without_stun) {
  map_.regions.at(1).nodes.at(0).stun_port = -1;
  join();
  std::optional<NetcheckReport> report;
  left_->driver->netcheck([&](const NetcheckReport& said) { report = said; });
  ASSERT_TRUE(until([&] { return report.has_value(); }));
  EXPECT_FALSE(report->udp);
  EXPECT_TRUE(report->latency.contains(1));
  EXPECT_EQ(left_->home, 1);
}

TEST_F(interop_paths, the_derp_server_comes_back) {
  join();
  ASSERT_TRUE(until([&] { return is_up(*left_); }));
  reference_->ask("derp stop 1");
  ASSERT_TRUE(until([&] { return !is_up(*left_); }));
  reference_->ask("derp start 1");
  EXPECT_TRUE(until([&] { return is_up(*left_) && is_up(*right_); }));
}

TEST_F(interop_paths, a_restart_goes_on_where_it_was) {
  join();
  ASSERT_TRUE(until([&] { return is_up(*left_) && is_up(*right_); }));
  const DiscoKey disco = left_->driver->disco_key();
  const auto parking = left_->driver->parking_of(right_->key.public_key());
  left_->driver->ping(right_->key.public_key(), true, [](const std::optional<PingReply>&) {});
  ASSERT_TRUE(until([&] { return kind(*left_, *right_) == PathKind::kDirect; }));
  ASSERT_TRUE(until([&] { return left_->saved.find("\"direct\"") != std::string::npos; }));

  left_->home = 0;
  left_->start(left_->saved);
  EXPECT_EQ(left_->driver->disco_key(), disco);
  EXPECT_EQ(left_->home, 1) << "before any report";
  join();
  EXPECT_EQ(left_->driver->parking_of(right_->key.public_key())->address, parking->address);
  EXPECT_EQ(kind(*left_, *right_), PathKind::kDirect);
  EXPECT_TRUE(until([&] { return is_up(*left_); }));
}

}  // namespace
}  // namespace sallyport::interop
