// SPDX-License-Identifier: BSD-3-Clause
/// The verdicts of bpf/abi/verdict.h by name and sentence.
#pragma once

#include <optional>
#include <string_view>

#include "bpf/abi/verdict.h"

namespace sallyport {

/// "no_rule": the name in JSON and metrics. Empty for a number that is no verdict.
std::string_view name_of(sp_verdict verdict);
/// "no rule allows it": completes "the packet was denied: ...". Empty for no verdict.
std::string_view text_of(sp_verdict verdict);
std::optional<sp_verdict> parse_verdict(std::string_view name);
/// Does the packet go on?
constexpr bool allows(sp_verdict verdict) { return verdict <= SP_LAST_ALLOW; }

}  // namespace sallyport
