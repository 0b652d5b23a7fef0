// SPDX-License-Identifier: BSD-3-Clause
/// One YAML scalar as the value that its key asks for.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/config.h"
#include "agent/model/ip.h"
#include "agent/model/keys.h"
#include "agent/model/rule.h"
#include "agent/options/table.h"

namespace sallyport::options {

/// kSecret. A literal has no file; a file that does not exist has no key.
struct SecretValue {
  std::string file;
  std::optional<PresharedKey> key;
};
/// kToken, likewise.
struct TokenValue {
  std::string file;
  std::string text;
};
/// kSwitches: one of them.
struct PrefixSwitch {
  Prefix prefix;
  bool on = false;
};

using Value = std::variant<bool, uint64_t, std::string, std::chrono::seconds, IpAddress, Prefix,
                           PublicKey, SecretValue, TokenValue, PrefixSwitch, Fwmark, IpProto,
                           PortRange, TimeWindow, WallTime>;

/// A scalar is not what expected_text() of its option says; the hint may know why.
struct Refusal {
  std::string hint;
};

/// Never touches a file: of a kSecret or kToken only the path is read. A kSwitches is given one
/// entry, "PREFIX: on".
Result<Value, Refusal> parse_scalar(const Option& option, std::string_view text);

/// Letters, digits and inner hyphens, at most 63 (RFC 1123 2.1).
bool is_label(std::string_view text);
/// What an auth key may be: printable ASCII without blanks.
bool is_token(std::string_view text);
/// "2h4m", "90s", "7d", "1h30m"; a bare number is seconds.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);
/// RFC 3339 with seconds, without fractions: "2026-01-31T08:00:00Z", "...+01:00".
std::optional<WallTime> parse_time(std::string_view text);

}  // namespace sallyport::options
