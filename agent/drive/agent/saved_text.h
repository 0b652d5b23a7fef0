// SPDX-License-Identifier: BSD-3-Clause
/// STATE/restore: the settings of others from before us, one JSON object.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/guard/saved.h"

namespace sallyport {

std::string saved_text(const Saved& saved);
/// Nothing: not what saved_text() writes.
std::optional<Saved> parse_saved(std::string_view text);

}  // namespace sallyport
