// SPDX-License-Identifier: BSD-3-Clause
/// What outlives the process: pins, adoption by the next process, programs swapped where they are
/// attached, and nothing left after remove_all().
///
/// A thread's own network and mount namespaces with a BPF file system of its own; the device is a
/// TUN, which like WireGuard's has no link header.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/support/own_bpffs.h"
#include "tests/support/own_netns.h"

namespace sallyport::test {
namespace {

constexpr char kDevice[] = "sptest0";

Fd make_tun() {
  Fd tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  ifreq request{};
  std::strncpy(request.ifr_name, kDevice, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (!tun.valid() || ioctl(tun.raw(), TUNSETIFF, &request) != 0) return {};
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  request.ifr_flags = IFF_UP;
  if (ioctl(socket.raw(), SIOCSIFFLAGS, &request) != 0) return {};
  return tun;
}

class loader : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered());
    ASSERT_TRUE(fs_.mounted());
    tun_ = make_tun();
    ASSERT_TRUE(tun_.valid()) << std::strerror(errno);
    options_.pin_dir = fs_.path() + "/gateway";
    options_.flows = 1024;
  }
  std::unique_ptr<DataPlane> open() {
    auto plane = DataPlane::open(options_);
    if (!plane) {
      ADD_FAILURE() << plane.error().text();
      return nullptr;
    }
    return std::move(plane).value();
  }
  static uint64_t load_policy(DataPlane& plane) {
    const auto slot = plane.policy().load(rules_of_gateway().blob());
    if (!slot) return 0;
    const std::array chain{PolicyLink{SP_WORD(plane.policy().next_generation(), *slot), {}}};
    return plane.policy().set_chain(chain) ? chain[0].word : 0;
  }
  // A packet comes out of the tunnel.
  void send(const Bytes& packet) {
    ASSERT_EQ(write(tun_.raw(), packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
  }
  static uint64_t count(const DataPlane& plane, sp_verdict verdict) {
    const auto counts = plane.verdicts();
    return counts ? counts->at(SP_HOOK_TAILNET_IN).at(verdict).packets : UINT64_MAX;
  }
  [[nodiscard]] bool is_left() const { return std::filesystem::exists(options_.pin_dir); }

  OwnNetns netns_;
  OwnBpfFs fs_;
  Fd tun_;
  DataPlaneOptions options_;
  const Bytes query_ = udp("10.99.0.2", 6000, "192.168.7.9", 53);
  const Attachment in_{kDevice, Hook::kTailnetIn};
  const Attachment out_{kDevice, Hook::kTailnetOut};
};

void outlives_the_process(const std::function<std::unique_ptr<DataPlane>()>& open,
                          const std::function<uint64_t(DataPlane&)>& load,
                          const std::function<void()>& send_query,
                          const std::function<uint64_t(const DataPlane&, sp_verdict)>& count,
                          const std::vector<Attachment>& both) {
  uint64_t word = 0;
  {
    const auto plane = open();
    ASSERT_NE(plane, nullptr);
    EXPECT_FALSE(plane->adopted());
    EXPECT_EQ(plane->settings().abi_version, uint32_t{SP_ABI_VERSION});
    word = load(*plane);
    ASSERT_NE(word, 0U);
    for (const Attachment& one : both) {
      const auto attached = plane->attach(one);
      ASSERT_TRUE(attached) << attached.error().text();
    }
    EXPECT_EQ(*plane->attachments(), both);
    send_query();
    EXPECT_EQ(count(*plane, SP_ALLOW_RULE), 1U);
  }
  send_query();  // nobody of ours is there
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  EXPECT_TRUE(plane->adopted());
  EXPECT_EQ(count(*plane, SP_ALLOW_FLOW), 1U);
  EXPECT_EQ(*plane->attachments(), both);
  ASSERT_EQ(plane->policy().chain().size(), 1U);
  EXPECT_EQ(plane->policy().chain().at(0).word, word);
  ASSERT_TRUE(plane->replace_programs());
  EXPECT_EQ(*plane->attachments(), both);
  send_query();
  EXPECT_EQ(count(*plane, SP_ALLOW_FLOW), 2U);
  ASSERT_TRUE(plane->detach(both.at(0)));
  EXPECT_EQ(*plane->attachments(), std::vector(both.begin() + 1, both.end()));
  send_query();
  EXPECT_EQ(count(*plane, SP_ALLOW_FLOW), 2U);
  ASSERT_TRUE(plane->remove_all());
  EXPECT_EQ(*plane->attachments(), std::vector<Attachment>{});
}

TEST_F(loader, tcx_outlives_the_process) {
  outlives_the_process([&] { return open(); }, load_policy, [&] { send(query_); }, count,
                       {in_, out_});
  EXPECT_FALSE(is_left());
}

TEST_F(loader, clsact_outlives_the_process) {
  options_.hook = HookKind::kClsact;
  outlives_the_process([&] { return open(); }, load_policy, [&] { send(query_); }, count,
                       {in_, out_});
  EXPECT_FALSE(is_left());
}

TEST_F(loader, other_sizes_begin_anew_and_the_old_programs_run_until_they_are_replaced) {
  {
    const auto plane = open();
    ASSERT_NE(plane, nullptr);
    ASSERT_NE(load_policy(*plane), 0U);
    ASSERT_TRUE(plane->attach(in_));
  }
  options_.flows = 2048;
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  EXPECT_FALSE(plane->adopted());
  send(query_);
  EXPECT_EQ(count(*plane, SP_ALLOW_RULE), 0U);
  ASSERT_NE(load_policy(*plane), 0U);
  ASSERT_TRUE(plane->replace_programs());
  send(query_);
  EXPECT_EQ(count(*plane, SP_ALLOW_RULE), 1U);
  ASSERT_TRUE(plane->remove_all());
}

TEST_F(loader, another_abi_version_is_not_adopted) {
  {
    const auto plane = open();
    ASSERT_NE(plane, nullptr);
    plane->settings().abi_version = SP_ABI_VERSION + 1;
  }
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  EXPECT_FALSE(plane->adopted());
  EXPECT_EQ(plane->settings().abi_version, uint32_t{SP_ABI_VERSION});
  ASSERT_TRUE(plane->remove_all());
}

TEST_F(loader, a_device_that_goes_takes_its_attachments_along) {
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  ASSERT_TRUE(plane->attach(in_));
  tun_.reset();
  EXPECT_EQ(*plane->attachments(), std::vector<Attachment>{});
  EXPECT_TRUE(plane->detach(in_));
  tun_ = make_tun();
  ASSERT_TRUE(tun_.valid());
  ASSERT_TRUE(plane->attach(in_));
  EXPECT_EQ(*plane->attachments(), std::vector{in_});
  ASSERT_TRUE(plane->remove_all());
  EXPECT_FALSE(is_left());
}

TEST_F(loader, refuses_what_is_no_bpf_file_system_and_no_device) {
  options_.pin_dir = "/tmp/sallyport-no-bpf-" + std::to_string(getpid());
  const auto plane = DataPlane::open(options_);
  ASSERT_FALSE(plane);
  EXPECT_EQ(plane.error().code.value(), ENODEV);
  rmdir(options_.pin_dir.c_str());
  options_.pin_dir.clear();
  const auto unpinned = open();
  ASSERT_NE(unpinned, nullptr);
  const auto attached = unpinned->attach({"none9", Hook::kTailnetIn});
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code.value(), ENODEV);
}

TEST_F(loader, policies_are_refused_if_they_are_none_and_slots_are_given_back) {
  options_.pin_dir.clear();
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  PolicySlots& policy = plane->policy();
  EXPECT_FALSE(policy.load(std::array<uint8_t, 4>{}));
  EXPECT_FALSE(policy.load(std::vector<uint8_t>(64)));
  EXPECT_FALSE(policy.load(std::vector<uint8_t>(SP_POLICY_BYTES + 1)));
  EXPECT_FALSE(policy.set_chain(std::array{PolicyLink{SP_WORD(1, 3), {}}}));  // not loaded
  const size_t empty = plane->map_bytes();
  for (int i = 0; i < 3 * SP_POLICY_SLOTS; i++) ASSERT_NE(load_policy(*plane), 0U);
  EXPECT_EQ(plane->map_bytes(), empty + SP_POLICY_BYTES);
  // All slots but the one in force.
  for (int i = 0; i + 1 < SP_POLICY_SLOTS; i++) {
    ASSERT_TRUE(policy.load(rules_of_gateway().blob()));
  }
  const auto one_more = policy.load(rules_of_gateway().blob());
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code.value(), ENOSPC);
}

TEST_F(loader, more_peers_are_shown_when_they_are_asked_for) {
  {
    const auto plane = open();
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(plane->peers().size(), 1024U);
    plane->peers()[1].rx_bytes = 11;
    ASSERT_TRUE(plane->show_peers(1024));
    EXPECT_EQ(plane->peers().size(), 1024U) << "they were there";
    ASSERT_TRUE(plane->show_peers(1025));
    ASSERT_GE(plane->peers().size(), 1025U);
    EXPECT_EQ(plane->peers()[1].rx_bytes, 11U) << "the same memory";
    ASSERT_TRUE(plane->show_peers(plane->peer_slots()));
    ASSERT_EQ(plane->peers().size(), plane->peer_slots());
    plane->peers().back().rx_bytes = 12;
    const auto too_many = plane->show_peers(plane->peer_slots() + 1);
    ASSERT_FALSE(too_many);
    EXPECT_EQ(too_many.error().code.value(), EINVAL);
    EXPECT_EQ(plane->peers().back().rx_bytes, 12U) << "and nothing has changed";
  }
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  EXPECT_EQ(plane->peers().size(), 1024U);
  ASSERT_TRUE(plane->show_peers(plane->peer_slots()));
  EXPECT_EQ(plane->peers().back().rx_bytes, 12U);
  ASSERT_TRUE(plane->remove_all());
}

size_t loaded_programs() {
  size_t out = 0;
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    out += std::filesystem::read_symlink(one, gone) == "anon_inode:bpf-prog" ? 1U : 0U;
  }
  return out;
}

TEST_F(loader, programs_of_paths_are_loaded_with_the_first_attachment_that_needs_them) {
  const Attachment port_in{kDevice, Hook::kPortIn};
  const Attachment port_out{kDevice, Hook::kPortOut};
  size_t without = 0;
  {
    const auto plane = open();
    ASSERT_NE(plane, nullptr);
    ASSERT_TRUE(plane->attach(port_in));
    ASSERT_TRUE(plane->replace_programs());
    without = loaded_programs();
    ASSERT_TRUE(plane->attach(port_out));
    EXPECT_EQ(loaded_programs(), without + 2);
    ASSERT_TRUE(plane->attach({"lo", Hook::kLoopback}));
    EXPECT_EQ(loaded_programs(), without + 2) << "both are of one object";
  }
  // The next process loads its own to take the place of what it finds.
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  EXPECT_EQ(loaded_programs(), without);
  ASSERT_TRUE(plane->replace_programs());
  EXPECT_EQ(loaded_programs(), without + 2);
  ASSERT_TRUE(plane->remove_all());
}

TEST_F(loader, ports_and_flows_are_read_back) {
  options_.pin_dir.clear();
  const auto plane = open();
  ASSERT_NE(plane, nullptr);
  ASSERT_TRUE(plane->set_port(7, SP_PORT_WAN));
  ASSERT_TRUE(plane->forget_port(7));
  ASSERT_TRUE(plane->forget_port(7));
  ASSERT_NE(load_policy(*plane), 0U);
  ASSERT_TRUE(plane->attach(in_));
  for (uint16_t port = 1; port <= 900; port++) send(udp("10.99.0.2", port, "192.168.7.9", 53));
  size_t seen = 0;
  ASSERT_TRUE(plane->for_each_flow([&](const sp_flow_key&, const sp_flow& flow) {
    seen += flow.peer == 1 && flow.rule == 2 ? 1U : 0U;
  }));
  EXPECT_EQ(seen, plane->settings().flows_per_peer);  // an eighth of 1024
  EXPECT_EQ(count(*plane, SP_ALLOW_UNRECORDED), 900U - 128U);
}

}  // namespace
}  // namespace sallyport::test
