// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/joined.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

namespace sallyport {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "sallyport";
  const std::string whole(name.data());
  return whole.substr(0, whole.find('.'));
}

}  // namespace

channel::Join join_orders(const Config& config, uint16_t wg_port, const NodePorts& ports) {
  const JoinConfig& join = *config.join;
  return {.url = join.url,
          .auth_key = join.auth_key,
          .hostname = config.node.hostname.empty() ? host_name() : config.node.hostname,
          .ca_file = join.ca_file,
          .max_netmap_age_s = static_cast<uint32_t>(join.max_netmap_age.count()),
          .wg_port = wg_port,
          .relay_port = ports.relay,
          .prefs = join.prefs};
}

Result<std::vector<Fd>> join_fds(const NodeSockets& sockets, const Directories& directories) {
  std::vector<Fd> out = TRY(sockets.for_the_node());
  for (const std::string& path :
       {directories.state + "/node_keys", directories.state + "/node_netmap",
        directories.run + "/node_paths"}) {
    for (const char* slot : {".0", ".1"}) {
      const std::string name = path + slot;
      Fd file(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
      if (!file.valid()) return fail(errno, "open " + name);
      out.push_back(std::move(file));
    }
  }
  return out;
}

}  // namespace sallyport
