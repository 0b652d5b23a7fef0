// SPDX-License-Identifier: BSD-3-Clause
/// What outlives the process: who we are, and the last netmap. Texts for files that only we read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/clock.h"
#include "agent/model/netmap.h"
#include "agent/node/control/login.h"

namespace sallyport::control {

/// An identity belongs to the server that it was made for.
struct SavedKeys {
  std::string url;
  Identity identity;
  friend bool operator==(const SavedKeys&, const SavedKeys&) = default;
};
std::string write_saved_keys(const SavedKeys& saved);
/// Nothing: damaged, or of a version to come.
std::optional<SavedKeys> parse_saved_keys(std::string_view text);

struct SavedNetmap {
  std::string url;
  NodeKey node_key;
  /// When the server last confirmed it.
  WallTime confirmed;
  Netmap netmap;
  friend bool operator==(const SavedNetmap&, const SavedNetmap&) = default;
};
std::string write_saved_netmap(const SavedNetmap& saved);
std::optional<SavedNetmap> parse_saved_netmap(std::string_view text);

}  // namespace sallyport::control
