// SPDX-License-Identifier: BSD-3-Clause
/// What people read about config.yaml, written from the table.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace sallyport::options {

/// config/reference.md, to the byte.
std::string reference_page();

/// For `sallyport help config [KEY]`: "" lists the sections; "peers", "peers[].name" and
/// "peers.name" explain that key and list what is below it. The error names the nearest key.
Result<std::string, std::string> help_for(std::string_view path);

}  // namespace sallyport::options
