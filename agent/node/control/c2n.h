// SPDX-License-Identifier: BSD-3-Clause
/// What a control server asks of a node over its own channel.
/// Source: tailscale ipn/ipnlocal/c2n.go.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/wire/http/http1.h"

namespace sallyport::control {

/// Answers a raw HTTP request with a raw HTTP response: /echo gives the body back, all else is
/// refused with 400.
std::string answer_c2n(ByteView request);

/// "/path?query" of an absolute http(s) URL. Nothing: no such URL.
std::optional<std::string_view> path_of(std::string_view url);

}  // namespace sallyport::control
