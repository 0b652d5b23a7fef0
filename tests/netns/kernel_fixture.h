// SPDX-License-Identifier: BSD-3-Clause
/// A Kernel in a network namespace of the test's own, where a TUN stands for the WireGuard device.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kmod-glue/kernel.h"
#include "tests/support/own_netns.h"

namespace sallyport {

/// What a shell command prints, standard error included. Fails the test if it does not exit with 0.
inline std::string shell(const std::string& command) {
  FILE* pipe = popen(("exec 2>&1\n" + command).c_str(), "re");
  if (pipe == nullptr) return "popen failed";
  std::string text;
  char part[4096];
  for (size_t n = 0; (n = fread(part, 1, sizeof part, pipe)) > 0;) text.append(part, n);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << text;
  return text;
}

/// Remembers what it was asked; the link is a TUN.
class TunAsWireGuard : public WireGuardOps {
 public:
  Result<std::optional<WgDevice>> dump(const std::string& device) override {
    if (!exists_) return std::optional<WgDevice>{};
    return std::optional{WgDevice{.name = device, .private_key = {}, .peers = {}}};
  }
  Result<void> create_link(const CreateLink& step) override {
    shell("ip tuntap add dev " + step.device + " mode tun && sysctl -qw net.ipv6.conf." +
          step.device + ".addr_gen_mode=1");
    exists_ = true;
    return {};
  }
  Result<void> delete_link(const DeleteLink& step) override {
    shell("ip link del " + step.device);
    exists_ = false;
    return {};
  }
  Result<void> set_device(const SetDevice&) override { return {}; }
  std::vector<Failure> change_peers(std::span<const Operation> steps) override {
    batches.push_back(steps.size());
    std::vector<Failure> failures;
    for (size_t i = 0; i < steps.size(); ++i) {
      const auto* set = std::get_if<SetPeer>(&steps[i]);
      if (set != nullptr && set->keepalive_s == kBadKeepalive) {
        failures.push_back({i, Error{make_error_code(std::errc::invalid_argument), "set peer"}});
      }
    }
    return failures;
  }

  static constexpr uint16_t kBadKeepalive = 666;
  std::vector<size_t> batches;

 private:
  bool exists_ = false;
};

class RememberedAttachments : public AttachOps {
 public:
  Result<std::vector<Attachment>> attached() override { return list_; }
  Result<void> attach(const Attachment& attachment) override {
    list_.push_back(attachment);
    std::sort(list_.begin(), list_.end());
    return {};
  }
  Result<void> detach(const Attachment& attachment) override {
    std::erase(list_, attachment);
    return {};
  }

 private:
  std::vector<Attachment> list_;
};

inline const std::string kDevice = "sallyport0";

class KernelTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered()) << "needs root";
    shell(
        "ip link set lo up\n"
        "ip link add wan0 type veth peer name wan1\n"
        "ip link add lan0 type veth peer name lan1\n"
        "for d in wan0 wan1 lan0 lan1; do sysctl -qw net.ipv6.conf.$d.addr_gen_mode=1\n"
        "ip link set $d up; done\n"
        "ip addr add 192.0.2.2/24 dev wan0; ip addr add 10.1.2.1/24 dev lan0\n"
        "ip addr add 2001:db8::2/64 dev wan0 nodad\n"
        "ip route add default via 192.0.2.1");
    open_kernel();
  }
  void open_kernel() {
    auto opened = Kernel::open({.device = kDevice,
                                .table = 5300,
                                .first_priority = 5300,
                                .last_priority = 5390,
                                .fwmark = {0x80000, 0xff0000}},
                               {wireguard, attach});
    ASSERT_TRUE(opened) << opened.error().text();
    kernel = *std::move(opened);
  }

  void apply(const std::vector<Operation>& steps) {
    for (const Failure& failure : kernel->apply(steps)) {
      ADD_FAILURE() << "step " << failure.index << ": " << failure.error.text();
    }
  }
  KernelState observe() {
    auto state = kernel->observe(sysctls, offloads);
    if (!state) {
      ADD_FAILURE() << state.error().text();
      return {};
    }
    return *std::move(state);
  }
  /// The device with an address, up.
  void make_device() {
    apply({CreateLink{kDevice}, AddAddress{kDevice, *Prefix::parse("100.64.0.1/32")},
           SetLink{kDevice, {1420, true}}});
  }

  OwnNetns netns_;

 public:
  TunAsWireGuard wireguard;
  RememberedAttachments attach;
  std::unique_ptr<Kernel> kernel;
  std::vector<std::string> sysctls{"net/ipv4/ip_forward", "net/ipv4/conf/wan0/rp_filter",
                                   "net/ipv4/no_such_thing"};
  std::vector<Offload> offloads{
      {"wan0", "rx-gro-list"}, {"wan0", "rx-udp-gro-forwarding"}, {"nodevice", "rx-gro-list"}};
};

}  // namespace sallyport
