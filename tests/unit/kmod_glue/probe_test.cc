// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/probe.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

namespace sallyport {
namespace {

constexpr uint64_t kAllRights = ~uint64_t{0};
constexpr Capabilities all() {
  return {.release = {},
          .wireguard = true,
          .btf = true,
          .tcx = true,
          .nftables = true,
          .masquerade = true};
}

TEST(probe, nothing_is_missing_where_everything_is) {
  EXPECT_TRUE(find_missing(all(), kAllRights).empty());
}

TEST(probe, each_missing_thing_is_named_with_a_remedy) {
  struct Row {
    bool Capabilities::* lacks;
    const char* named;
    const char* remedy;
    bool required;
  };
  for (const Row& row : {
           Row{&Capabilities::wireguard, "WireGuard", "apt install linux-image-", true},
           Row{&Capabilities::btf, "BTF", "apt install linux-image-", true},
           Row{&Capabilities::nftables, "nftables", "apt install linux-image-", true},
           Row{&Capabilities::masquerade, "masquerade", "apt install linux-image-", true},
           Row{&Capabilities::tcx, "tcx", "-t bookworm-backports linux-image-", false},
       }) {
    Capabilities kernel = all();
    kernel.release = "5.4.0-test";
    kernel.*row.lacks = false;
    const auto missing = find_missing(kernel, kAllRights);
    ASSERT_EQ(missing.size(), 1U) << row.named;
    const std::string text = missing[0].text();
    EXPECT_NE(text.find(row.named), std::string::npos) << text;
    EXPECT_NE(text.find("5.4.0-test"), std::string::npos) << text;
    EXPECT_NE(missing[0].remedy.find(row.remedy), std::string::npos) << text;
    EXPECT_EQ(missing[0].remedy.find('{'), std::string::npos) << text;
    const Probe probe{kernel, missing};
    EXPECT_EQ(probe.refused(), row.required) << text;
  }
}

TEST(probe, a_missing_capability_is_named_and_hides_what_could_not_be_tried) {
  const uint64_t without = kAllRights & ~(uint64_t{1} << CAP_NET_ADMIN);
  Capabilities kernel = all();
  kernel.masquerade = kernel.nftables = kernel.tcx = false;
  const auto missing = find_missing(kernel, without);
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing[0].what, "CAP_NET_ADMIN");
  EXPECT_TRUE(missing[0].required);
  EXPECT_NE(missing[0].remedy.find("root"), std::string::npos);

  // What needs no right to look at is told all the same.
  kernel.wireguard = false;
  EXPECT_EQ(find_missing(kernel, without).size(), 2U);
  EXPECT_EQ(find_missing(kernel, 0).size(), 4U);
}

}  // namespace
}  // namespace sallyport
