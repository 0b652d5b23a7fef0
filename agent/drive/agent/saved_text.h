// SPDX-License-Identifier: BSD-3-Clause
/// STATE/restore: the settings of others from before us, one JSON object.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/guard/reconcile.h"
#include "agent/guard/saved.h"

namespace sallyport {

std::string saved_text(const Saved& saved);
/// Nothing: not what saved_text() writes.
std::optional<Saved> parse_saved(std::string_view text);

/// What endpoints were asked for, for the next agent of this boot. A line a peer.
std::string asked_text(const AskedEndpoints& asked);
/// Lines that are none are left out.
AskedEndpoints parse_asked(std::string_view text);

}  // namespace sallyport
