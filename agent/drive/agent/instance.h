// SPDX-License-Identifier: BSD-3-Clause
/// Who this gateway is over restarts, and what it leaves for its next start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/guard/plan.h"
#include "agent/model/config.h"
#include "agent/model/keys.h"

namespace sallyport {

/// Where an instance keeps its things. Several may run with different ones.
struct Directories {
  std::string config = "/etc/sallyport/config.yaml";
  std::string state = "/var/lib/sallyport";  // root 0700; survives a reboot
  std::string run = "/run/sallyport";        // gone with a reboot, as are the pinned maps
};

/// Held by one process at a time. Files:
///   STATE/id            names the pins under /sys/fs/bpf/sallyport
///   STATE/private.key   unless node.private_key says another file
///   STATE/wg_port       chosen at first start
///   STATE/agent_port    chosen when the node first holds paths, as the next
///   STATE/relay_port
///   STATE/restore       settings of others as they were before us
///   RUN/indices         slots of rules and peers in the kernel's maps
///   RUN/asked_endpoints endpoints that we set last: the kernel moves them by itself
class Instance {
 public:
  /// Makes the directories and takes the lock. Errors: EBUSY, another process holds it; EACCES ...
  static Result<Instance> open(Directories directories);

  [[nodiscard]] const Directories& directories() const { return directories_; }
  /// Eight hexadecimal digits.
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] std::string pin_dir() const { return "/sys/fs/bpf/sallyport/" + id_; }

  /// Read, or made with mode 0600 if there is none.
  [[nodiscard]] Result<PrivateKey> private_key(const Config& config) const;
  /// node.wg_port, or the port chosen at first start: not 41641, where stock clients are, and
  /// outside 20000-50000, where masqueraded flows are mapped to.
  [[nodiscard]] Result<uint16_t> wg_port(const Config& config) const;

  /// Of a node that holds paths, chosen at the first call as wg_port is and kept likewise.
  [[nodiscard]] Result<NodePorts> node_ports(const Config& config) const;

  /// A small file of ours; nothing if it is not there. Names as above.
  [[nodiscard]] Result<std::optional<std::string>> read_state(const std::string& name) const;
  [[nodiscard]] Result<void> write_state(const std::string& name, const std::string& text) const;
  [[nodiscard]] Result<std::optional<std::string>> read_run(const std::string& name) const;
  [[nodiscard]] Result<void> write_run(const std::string& name, const std::string& text) const;
  void remove_run(const std::string& name) const;

 private:
  [[nodiscard]] Result<std::optional<uint16_t>> read_port(const std::string& name) const;
  Instance(Directories directories, std::string id, Fd lock)
      : directories_(std::move(directories)), id_(std::move(id)), lock_(std::move(lock)) {}

  Directories directories_;
  std::string id_;
  Fd lock_;
};

}  // namespace sallyport
