// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/probe.h"

#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "agent/base/fd.h"
#include "kmod-glue/modules.h"
#include "kmod-glue/netlink/generic.h"

namespace sallyport {
namespace {

#if defined(__aarch64__)
constexpr std::string_view kKernelPackage = "linux-image-arm64";
#else
constexpr std::string_view kKernelPackage = "linux-image-amd64";
#endif

// Source: linux/bpf.h of 6.6; the headers that we build with are older.
constexpr uint32_t kBpfTcxIngress = 46;

// --- trying -----------------------------------------------------------------------------------

/// The family alone tells: the module registers link kind and family together, and asking for it
/// makes no device that others would be notified of.
bool has_wireguard() {
  auto generic = NetlinkSocket::open(NETLINK_GENERIC);
  if (!generic) return false;
  if (find_family(*generic, "wireguard")) return true;
  return load_module("wireguard") && find_family(*generic, "wireguard");
}

long bpf(int command, bpf_attr& attr) { return syscall(__NR_bpf, command, &attr, sizeof(attr)); }

/// Loads `return TC_ACT_OK` and asks to attach it to a device that cannot be: a kernel with tcx
/// looks for the device (ENODEV), an older one knows no such attach type (EINVAL).
bool has_tcx() {
  const std::array<bpf_insn, 2> body{{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  load.insns = reinterpret_cast<uint64_t>(body.data());
  load.insn_cnt = body.size();
  load.license = reinterpret_cast<uint64_t>("Dual BSD/GPL");
  const Fd program(static_cast<int>(bpf(BPF_PROG_LOAD, load)));
  if (!program.valid()) return false;

  bpf_attr link{};
  link.link_create.prog_fd = static_cast<uint32_t>(program.raw());
  link.link_create.target_ifindex = INT_MAX;
  link.link_create.attach_type = kBpfTcxIngress;
  const Fd made(static_cast<int>(bpf(BPF_LINK_CREATE, link)));
  return !made.valid() && errno == ENODEV;
}

/// Runs nft commands to their end in the kernel, without the commit.
bool nft_would_take(const char* commands) {
  const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context(nft_ctx_new(NFT_CTX_DEFAULT),
                                                                  nft_ctx_free);
  if (!context) return false;
  nft_ctx_set_dry_run(context.get(), true);
  nft_ctx_buffer_output(context.get());
  nft_ctx_buffer_error(context.get());
  return nft_run_cmd_from_buffer(context.get(), commands) == 0;
}

bool has_nftables() { return nft_would_take("add table inet sallyport_probe"); }

bool has_masquerade() {
  return nft_would_take(
      "add table inet sallyport_probe\n"
      "add chain inet sallyport_probe c { type nat hook postrouting priority 100; }\n"
      "add rule inet sallyport_probe c masquerade\n");
}

/// 0 if unreadable: then everything is missing, which is what will be found anyway.
uint64_t effective_capabilities() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> status(
      std::fopen("/proc/self/status", "re"), std::fclose);
  if (!status) return 0;
  std::array<char, 256> line{};
  constexpr std::string_view kField = "CapEff:";
  while (std::fgets(line.data(), line.size(), status.get()) != nullptr) {
    if (std::string_view(line.data()).starts_with(kField)) {
      return std::strtoull(line.data() + kField.size(), nullptr, 16);
    }
  }
  return 0;
}

// --- judging ----------------------------------------------------------------------------------

/// A thing of the kernel that we want.
struct Wanted {
  bool Capabilities::* has;
  bool required;
  const char* what;
  const char* effect;
  const char* remedy;  // {0}: the Debian package of the kernel
};
constexpr const char* kStockKernel =
    "install Debian's kernel and boot it: apt install {0} && reboot";
constexpr std::array kWanted = {
    Wanted{&Capabilities::wireguard, true, "in-kernel WireGuard (CONFIG_WIREGUARD)",
           "there is no data plane without it", kStockKernel},
    Wanted{&Capabilities::btf, true, "BTF at /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)",
           "the access rules cannot be loaded without it", kStockKernel},
    Wanted{&Capabilities::nftables, true, "nftables with the inet family (CONFIG_NF_TABLES_INET)",
           "the own port cannot be kept from other NATs without it", kStockKernel},
    Wanted{&Capabilities::masquerade, true, "nftables masquerade (CONFIG_NFT_MASQ, CONFIG_NFT_NAT)",
           "LANs and the internet would see the peers' own addresses", kStockKernel},
    Wanted{&Capabilities::tcx, false, "tcx (Linux 6.6 or newer)",
           "clsact is used instead, at 50-70 ns more a packet",
           "a newer kernel: apt install -t bookworm-backports {0} && reboot"},
};

/// A capability of ours, by its bit.
struct WantedRight {
  unsigned bit;
  const char* name;
};
constexpr std::array kWantedRights = {
    WantedRight{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    WantedRight{CAP_BPF, "CAP_BPF"},
    WantedRight{CAP_PERFMON, "CAP_PERFMON"},
};

}  // namespace

std::string Missing::text() const { return fmt::format("no {}: {}; {}", what, effect, remedy); }

bool Probe::refused() const { return std::ranges::any_of(missing, &Missing::required); }

std::vector<Missing> find_missing(const Capabilities& kernel, uint64_t cap_effective) {
  std::vector<Missing> missing;
  for (const WantedRight& right : kWantedRights) {
    if ((cap_effective & (uint64_t{1} << right.bit)) != 0) continue;
    missing.push_back({right.name, "nothing can be set up without it",
                       "run as root, or by sallyport-agent.service, and outside of a container "
                       "that takes it away",
                       true});
  }
  // Without them every attempt fails, which says nothing of the kernel.
  const bool tried = missing.empty();
  for (const Wanted& wanted : kWanted) {
    if (kernel.*wanted.has) continue;
    if (!tried && wanted.has != &Capabilities::wireguard && wanted.has != &Capabilities::btf) {
      continue;
    }
    missing.push_back({fmt::format("{} in kernel {}", wanted.what, kernel.release), wanted.effect,
                       fmt::format(fmt::runtime(wanted.remedy), kKernelPackage), wanted.required});
  }
  return missing;
}

Probe probe_kernel() {
  Probe probe;
  utsname name{};
  if (uname(&name) == 0) probe.kernel.release = name.release;
  probe.kernel.wireguard = has_wireguard();
  probe.kernel.btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  probe.kernel.tcx = has_tcx();
  probe.kernel.nftables = has_nftables();
  probe.kernel.masquerade = probe.kernel.nftables && has_masquerade();
  probe.missing = find_missing(probe.kernel, effective_capabilities());
  return probe;
}

}  // namespace sallyport
