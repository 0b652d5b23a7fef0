// SPDX-License-Identifier: BSD-3-Clause
/// What of the paths outlives a restart of the node, as text for a file that only we read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/model/ip.h"
#include "agent/model/keys.h"
#include "agent/model/tailnet_keys.h"
#include "agent/node/peer_path.h"

namespace sallyport {

struct RememberedPeer {
  IpAddress parking;
  PathMemory path;
  friend bool operator==(const RememberedPeer&, const RememberedPeer&) = default;
};
struct PathsMemory {
  PrivateKey disco;
  uint16_t home = 0;
  std::map<NodeKey, RememberedPeer> peers;
  friend bool operator==(const PathsMemory&, const PathsMemory&) = default;
};

/// A longer text is not read.
constexpr size_t kMaxPathsMemory = size_t{16} * 1024 * 1024;

/// The text holds a secret.
std::string write_paths_memory(const PathsMemory& memory);
/// Nothing: damaged, or of a version to come. A peer that makes no sense is left out.
std::optional<PathsMemory> parse_paths_memory(std::string_view text);

}  // namespace sallyport
