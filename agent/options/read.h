// SPDX-License-Identifier: BSD-3-Clause
/// config.yaml as values. Touches no file: what is outside the texts comes in by `Outside`.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/config.h"
#include "agent/model/position.h"

namespace sallyport::options {

/// One file. The name is for messages, and `file:` paths that are not absolute are beside it.
struct SourceFile {
  std::string name;
  std::string text;
};

/// What the reader must ask the machine for.
struct Outside {
  /// Text of a secret's file; nothing if there is no such file. The error says what is wrong, and
  /// may hold the remedy behind a newline.
  std::function<Result<std::optional<std::string>, std::string>(const std::string& path)>
      read_secret;
  /// Names of the time zones, sorted; asked for when a window is met. Empty: no database.
  std::function<std::vector<std::string>()> zone_names;
};

struct Reading {
  Config config;
  /// Keys that prefs could hold too and config.yaml has: "join.url".
  std::map<std::string, Position> stated;
  std::vector<InputError> warnings;  // the configuration is good, but: secrets in plain sight
};

/// `prefs`: what `sallyport up` and `set` have said, with the keys of config.yaml; one that is
/// written in config.yaml counts there and not here.
/// The first file is config.yaml; the others are peers.d/*.yaml, each `peers: [...]` or one peer.
/// Groups hold peers only: groups within groups are replaced by their peers.
/// All errors are told, at most 20, sorted by place, and one more that counts the rest.
Result<Reading, std::vector<InputError>> parse_config(std::span<const SourceFile> files,
                                                      const Outside& outside,
                                                      const SourceFile* prefs = nullptr);

}  // namespace sallyport::options
