// SPDX-License-Identifier: BSD-3-Clause
// The probe on the kernel at hand, whatever that can do: its word against that of other tools, and
// nothing of it is left behind.
#include "kmod-glue/probe.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "kmod-glue/modules.h"
#include "kmod-glue/wg.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

struct Ran {
  bool ok = false;
  std::string said;
};
Ran run(const std::string& command) {
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {};
  Ran ran;
  std::array<char, 512> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) ran.said += part.data();
  ran.ok = pclose(pipe) == 0;
  return ran;
}
bool is(const Error& error, int number) {
  return error.code == std::error_code(number, std::generic_category());
}

TEST(netns_probe, agrees_with_other_tools_and_leaves_nothing) {
  const OwnNetns netns;
  ASSERT_TRUE(netns.entered()) << "needs root";
  const auto everything = [] {
    return run("ip -d link; nft list ruleset; ls /proc/self/fd | wc -l").said;
  };
  run("nft list ruleset");  // its modules are loaded, if they are files
  const std::string before = everything();
  const Probe probe = probe_kernel();
  EXPECT_EQ(everything(), before);

  utsname name{};
  ASSERT_EQ(uname(&name), 0);
  EXPECT_EQ(probe.kernel.release, name.release);
  int major = 0;
  int minor = 0;
  ASSERT_EQ(std::sscanf(name.release, "%d.%d", &major, &minor), 2);
  EXPECT_EQ(probe.kernel.tcx, major * 1000 + minor >= 6006) << name.release;
  EXPECT_EQ(probe.kernel.btf, access("/sys/kernel/btf/vmlinux", R_OK) == 0);
  EXPECT_EQ(probe.kernel.wireguard, run("ip link add probe0 type wireguard").ok);
  EXPECT_EQ(probe.kernel.nftables, run("nft add table inet t").ok);
  EXPECT_EQ(probe.kernel.masquerade,
            run("nft add chain inet t c '{ type nat hook postrouting priority 100; }' && "
                "nft add rule inet t c masquerade")
                .ok);
  // Every kernel that this runs on has these: a word of the probe's own that is wrong in the same
  // way as ours would show here.
  EXPECT_TRUE(probe.kernel.nftables && probe.kernel.masquerade);
  EXPECT_EQ(probe.refused(), !(probe.kernel.wireguard && probe.kernel.btf &&
                               probe.kernel.nftables && probe.kernel.masquerade));
}

TEST(netns_probe, a_kernel_without_wireguard_says_so) {
  const OwnNetns netns;
  ASSERT_TRUE(netns.entered()) << "needs root";
  if (probe_kernel().kernel.wireguard) GTEST_SKIP() << "this kernel has WireGuard";
  auto wg = WireGuard::open();
  ASSERT_TRUE(wg) << wg.error().text();
  for (const auto& refused : {wg->create_link("wg0"), wg->apply(SetDevice{"wg0", {}, 1, {}}),
                              wg->apply(RemovePeer{"wg0", {}})}) {
    ASSERT_FALSE(refused);
    EXPECT_TRUE(is(refused.error(), EOPNOTSUPP)) << refused.error().text();
    EXPECT_NE(refused.error().text().find("WireGuard"), std::string::npos);
  }
  const auto seen = wg->dump("wg0");
  ASSERT_FALSE(seen);
  EXPECT_TRUE(is(seen.error(), EOPNOTSUPP)) << seen.error().text();
  EXPECT_FALSE(load_module("wireguard"));
}

TEST(netns_probe, modules_that_are_nowhere_are_told) {
  const auto loaded = load_module("sallyport-no-such-module");
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(is(loaded.error(), ENOENT)) << loaded.error().text();
  EXPECT_NE(loaded.error().text().find("sallyport-no-such-module"), std::string::npos);
}

}  // namespace
}  // namespace sallyport
