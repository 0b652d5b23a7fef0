// SPDX-License-Identifier: BSD-3-Clause
// A stock Debian kernel lacks nothing; modules come as modprobe brings them.
#include "kmod-glue/probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "kmod-glue/modules.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

TEST(lab_probe, a_stock_kernel_lacks_nothing) {
  const OwnNetns netns;
  ASSERT_TRUE(netns.entered()) << "needs root";
  const Probe probe = probe_kernel();
  for (const Missing& missing : probe.missing) ADD_FAILURE() << missing.text();
  EXPECT_FALSE(probe.refused());
  EXPECT_TRUE(probe.kernel.wireguard && probe.kernel.btf && probe.kernel.tcx &&
              probe.kernel.nftables && probe.kernel.masquerade);
}

TEST(lab_probe, modules_are_loaded_once) {
  // Nothing else here uses it. It depends on 'crc32c' and the like, which modprobe brings too.
  ASSERT_NE(access("/sys/module/sctp", F_OK), 0) << "the guest has it already, take another";
  auto state = load_module("sctp");
  ASSERT_TRUE(state) << state.error().text();
  EXPECT_EQ(*state, ModuleState::kLoaded);
  EXPECT_EQ(access("/sys/module/sctp", F_OK), 0);
  state = load_module("sctp");
  ASSERT_TRUE(state) << state.error().text();
  EXPECT_EQ(*state, ModuleState::kAlreadyThere);
  state = load_module("virtio-pci");
  ASSERT_TRUE(state) << state.error().text();
  EXPECT_EQ(*state, ModuleState::kBuiltIn);
  EXPECT_FALSE(load_module("sallyport-no-such-module"));
}

}  // namespace
}  // namespace sallyport
