// SPDX-License-Identifier: BSD-3-Clause
// Every program that ships, on the guest's kernel: it loads, runs on the devices that it is meant
// for, is taken over by the next process, and leaves nothing.
//
//   one network namespace:  wg0 (no link header)     lan0 === lan1 (Ethernet)
//                           in, out                  port
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "kmod-glue/bpf_loader.h"
#include "tests/support/own_bpffs.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

// Linux 6.6, later than the headers here. Source: enum bpf_attach_type.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

/// What a shell command printed; "failed: " before it if it did.
std::string output(const std::string& command) {
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "failed: popen";
  std::string said;
  std::array<char, 4096> part{};
  while (const size_t n = std::fread(part.data(), 1, part.size(), pipe))
    said.append(part.data(), n);
  return pclose(pipe) == 0 ? said : "failed: " + said;
}

std::string text_of(const Result<void>& result) { return result ? "" : result.error().text(); }

/// Programs on a device, by the kernel's account and not by our pins.
size_t tcx_programs(const char* device, bpf_attach_type direction) {
  std::array<__u32, 16> ids{};
  __u32 count = ids.size();
  const int fault = bpf_prog_query(static_cast<int>(if_nametoindex(device)), direction, 0, nullptr,
                                   ids.data(), &count);
  return fault == 0 ? count : SIZE_MAX;
}
/// tc(8) names a program's filter in two lines, of which one has its tag.
size_t clsact_programs(const char* device, const char* direction) {
  const std::string shown = output(fmt::format("tc filter show dev {} {}", device, direction));
  size_t count = 0;
  for (size_t at = 0; (at = shown.find(" tag ", at)) != std::string::npos; at++) count++;
  return shown.starts_with("failed") ? SIZE_MAX : count;
}
size_t programs(HookKind kind, const char* device, bool ingress) {
  return kind == HookKind::kTcx ? tcx_programs(device, ingress ? kTcxIngress : kTcxEgress)
                                : clsact_programs(device, ingress ? "ingress" : "egress");
}

class Gateway {
 public:
  explicit Gateway(HookKind hook) {
    options_.pin_dir = fs_.path() + "/gateway";
    options_.flows = 1024;
    options_.hook = hook;
  }
  [[nodiscard]] bool ready() const { return netns_.entered() && fs_.mounted(); }
  [[nodiscard]] bool has_pins() const { return std::filesystem::exists(options_.pin_dir); }
  std::unique_ptr<DataPlane> open() {
    auto plane = DataPlane::open(options_);
    if (plane) return std::move(plane).value();
    ADD_FAILURE() << plane.error().text();
    return nullptr;
  }

 private:
  OwnNetns netns_;
  OwnBpfFs fs_;
  DataPlaneOptions options_;
};

void make_devices() {
  for (const char* command : {"ip link add wg0 type wireguard", "ip link set wg0 up",
                              "ip link add lan0 type veth peer name lan1", "ip link set lan0 up"}) {
    ASSERT_EQ(output(command), "") << command;
  }
}

void load_everywhere(HookKind asked, HookKind expected) {
  Gateway gateway(asked);
  ASSERT_TRUE(gateway.ready()) << "needs root";
  make_devices();
  const std::string qdiscs = output("tc qdisc show");
  const std::vector<Attachment> all{
      {"lan0", Hook::kPortIn}, {"wg0", Hook::kTailnetIn}, {"wg0", Hook::kTailnetOut}};
  const auto expect_each = [&](size_t count) {
    EXPECT_EQ(programs(expected, "lan0", true), count);
    EXPECT_EQ(programs(expected, "lan0", false), 0U);
    EXPECT_EQ(programs(expected, "wg0", true), count);
    EXPECT_EQ(programs(expected, "wg0", false), count);
  };
  {
    const auto plane = gateway.open();
    ASSERT_NE(plane, nullptr);
    EXPECT_FALSE(plane->adopted());
    for (const Attachment& one : all) {
      const auto attached = plane->attach(one);
      ASSERT_TRUE(attached) << text_of(attached);
    }
    EXPECT_EQ(plane->hook_kind(), expected);
    plane->settings().wg_mtu = 1234;
    expect_each(1);
  }
  expect_each(1);  // without a process of ours
  const auto plane = gateway.open();
  ASSERT_NE(plane, nullptr);
  EXPECT_TRUE(plane->adopted());
  EXPECT_EQ(plane->settings().wg_mtu, 1234U);
  const auto seen = plane->attachments();
  ASSERT_TRUE(seen) << seen.error().text();
  EXPECT_EQ(*seen, all);
  const auto replaced = plane->replace_programs();
  EXPECT_TRUE(replaced) << text_of(replaced);
  expect_each(1);
  const auto removed = plane->remove_all();
  EXPECT_TRUE(removed) << text_of(removed);
  expect_each(0);
  EXPECT_FALSE(gateway.has_pins());
  EXPECT_EQ(output("tc qdisc show"), qdiscs);
}

TEST(lab_bpf, load) {
  {
    SCOPED_TRACE("tcx");
    load_everywhere(HookKind::kTcx, HookKind::kTcx);
  }
  {
    SCOPED_TRACE("clsact");
    load_everywhere(HookKind::kClsact, HookKind::kClsact);
  }
  SCOPED_TRACE("of its own choice");
  load_everywhere(HookKind::kAuto, HookKind::kTcx);
}

}  // namespace
}  // namespace sallyport
