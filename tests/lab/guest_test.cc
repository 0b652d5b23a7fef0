// SPDX-License-Identifier: BSD-3-Clause
// The guest itself: what every scene relies on is there, tried and not looked up.
//
//   one network namespace:  wg0 --- v0 === v1      (an nft flowtable needs two devices)
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <array>
#include <cstdio>
#include <string>

namespace {

/// What a shell command printed, its errors included, and whether it succeeded.
struct Ran {
  bool ok;
  std::string said;
};

Ran run(const std::string& command) {
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {false, "popen"};
  std::string said;
  std::array<char, 512> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) said += part.data();
  return {pclose(pipe) == 0, said};
}

TEST(lab_guest, kernel_has_what_we_need) {
  ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "the guest runs tests as root";

  utsname name{};
  ASSERT_EQ(uname(&name), 0);
  int major = 0;
  int minor = 0;
  ASSERT_EQ(std::sscanf(name.release, "%d.%d", &major, &minor), 2) << name.release;
  EXPECT_GE(major * 1000 + minor, 6006) << "tcx came with 6.6, this is " << name.release;

  struct stat btf{};
  ASSERT_EQ(stat("/sys/kernel/btf/vmlinux", &btf), 0);
  EXPECT_GT(btf.st_size, 1 << 20);

  for (const char* command : {
           "ip link add wg0 type wireguard",
           "ip link set wg0 up",
           "ip link add v0 type veth peer name v1",
           "ip link set v0 up",
           "ip link set v1 up",
           "nft 'table inet t { flowtable f { hook ingress priority 0; devices = { wg0, v0 }; }; "
           "chain c { type filter hook forward priority 0; ip protocol udp flow add @f; }; }'",
       }) {
    const Ran ran = run(command);
    EXPECT_TRUE(ran.ok) << command << ": " << ran.said;
  }
  EXPECT_NE(run("ip -d link show wg0").said.find("wireguard"), std::string::npos);
  EXPECT_NE(run("nft list ruleset").said.find("flowtable f"), std::string::npos);
}

TEST(lab_guest, clock_runs_at_the_right_rate) {
  // A wrong TSC rate makes timers run wild for a whole boot; the RTC is emulated from the machine's
  // own clock and cannot be wrong with it.
  const Ran ran =
      run("read a </sys/class/rtc/rtc0/since_epoch; read u _ </proc/uptime; "
          "while read b </sys/class/rtc/rtc0/since_epoch && [ $((b - a)) -lt 3 ]; do :; done; "
          "read w _ </proc/uptime; echo $u $w");
  double before = 0;
  double after = 0;
  ASSERT_EQ(std::sscanf(ran.said.c_str(), "%lf %lf", &before, &after), 2) << ran.said;
  EXPECT_GT(after - before, 1.5);
  EXPECT_LT(after - before, 4.5);
}

}  // namespace
