// SPDX-License-Identifier: BSD-3-Clause
/// config.yaml, what lies beside it and what it points to, read from disk.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/options/read.h"

namespace sallyport::options {

/// `prefs`: see parse_config(). Reads `path` and peers.d/*.yaml beside it, by name. Nothing of this
/// process changes; every error is an InputError (exit 3), an unreadable file included.
Result<Reading, std::vector<InputError>> load_config(const std::string& path,
                                                     const SourceFile* prefs = nullptr);

/// This machine: secrets from files that only their owner may read, time zones from tzdata.
Outside this_machine();

}  // namespace sallyport::options
