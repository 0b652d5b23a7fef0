// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "agent/model/endpoint.h"
#include "agent/model/time_window.h"

namespace sallyport::options {
namespace {

using Parsed = Result<Value, Refusal>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::optional<uint64_t> parse_number(std::string_view text, int base = 10) {
  // A leading zero is octal to some readers of YAML and decimal to others.
  if (base == 10 && text.size() > 1 && text[0] == '0') return {};
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || error != std::errc{} || stop != end) return {};
  return number;
}
std::optional<uint64_t> parse_hex_or_decimal(std::string_view text) {
  if (text.starts_with("0x")) return parse_number(text.substr(2), 16);
  return parse_number(text);
}
std::optional<uint16_t> parse_port(std::string_view text) {
  const auto number = parse_number(text);
  if (!number || *number > 65535) return {};
  return static_cast<uint16_t>(*number);
}

bool has_choice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const auto bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == text) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes") return true;
  if (text == "false" || text == "off" || text == "no") return false;
  return {};
}

/// Source: dev_valid_name() in net/core/dev.c; narrower, as the name goes into sysctl paths and
/// nftables.
bool is_device(std::string_view text) {
  const auto allowed = [](char c) {
    return is_alnum(c) || c == '.' || c == '_' || c == '-' || c == '@' || c == '+';
  };
  return !text.empty() && text.size() <= 15 && text != "." && text != ".." && text[0] != '-' &&
         std::ranges::all_of(text, allowed);
}

bool is_id(std::string_view text) {
  const auto allowed = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= 63 && is_alnum(text[0]) &&
         std::ranges::all_of(text, allowed);
}

bool is_host(std::string_view text) {
  if (IpAddress::parse(text)) return true;
  if (text.empty() || text.size() > 253) return false;
  if (text.back() == '.') text.remove_suffix(1);
  bool numeric = true;
  while (true) {
    const auto dot = text.find('.');
    const auto label = text.substr(0, dot);
    if (!is_label(label)) return false;
    numeric = std::ranges::all_of(label, is_digit);
    if (dot == std::string_view::npos) return !numeric;  // 10.0.0.300 is no name
    text.remove_prefix(dot + 1);
  }
}

/// "HOST:PORT" or "[V6]:PORT".
bool is_host_port(std::string_view text, uint16_t least_port) {
  if (const auto endpoint = Endpoint::parse(text)) return endpoint->port >= least_port;
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const auto port = parse_port(text.substr(colon + 1));
  return port && *port >= least_port && is_host(text.substr(0, colon)) && text.find(':') == colon;
}

bool is_url(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    if (text.ends_with('/')) text.remove_suffix(1);
    return is_host(text) || is_host_port(text, 1) ||
           (text.starts_with('[') && text.ends_with(']') &&
            IpAddress::parse(text.substr(1, text.size() - 2)));
  }
  return false;
}

Parsed token(std::string_view text) {
  constexpr std::string_view kFile = "file:";
  if (text.starts_with(kFile)) {
    if (text.size() == kFile.size()) return Fail{Refusal{"the path is missing"}};
    return Value{TokenValue{std::string(text.substr(kFile.size())), {}}};
  }
  if (!is_token(text)) return Fail{Refusal{}};
  return Value{TokenValue{{}, std::string(text)}};
}

/// "PREFIX: on".
Parsed prefix_switch(std::string_view text) {
  const auto blank = text.rfind(": ");
  if (blank == std::string_view::npos) return Fail{Refusal{}};
  const auto on = parse_bool(text.substr(blank + 2));
  const auto of = Prefix::parse(text.substr(0, blank));
  if (!on || !of || of->has_host_bits()) return Fail{Refusal{}};
  return Value{PrefixSwitch{*of, *on}};
}

Parsed host_port(std::string_view text) {
  if (is_host_port(text, 1)) return Value{std::string(text)};
  if (is_host(text)) return Fail{Refusal{"the port is missing"}};
  const bool colons = std::ranges::count(text, ':') > 1 && !text.starts_with('[');
  return Fail{Refusal{colons ? "an IPv6 address goes in brackets" : ""}};
}
Parsed host_maybe_port(std::string_view text) {
  if (is_host(text) || is_host_port(text, 1)) return Value{std::string(text)};
  return Fail{Refusal{}};
}
Parsed listen(std::string_view text) {
  constexpr size_t kLongestSocketPath = 107;  // unix(7)
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    const auto path = text.substr(kUnix.size());
    if (path.starts_with('/') && path.size() <= kLongestSocketPath) return Value{std::string(text)};
    return Fail{Refusal{"a socket's path begins with / and has at most 107 bytes"}};
  }
  if (Endpoint::parse(text)) return Value{std::string(text)};
  return Fail{Refusal{}};
}

Parsed prefix(std::string_view text) {
  const auto parsed = Prefix::parse(text);
  if (!parsed) return Fail{Refusal{}};
  if (!parsed->has_host_bits()) return Value{*parsed};
  return Fail{Refusal{"bits behind the /" + std::to_string(parsed->length) +
                      " are set: did you mean " + parsed->masked().text() + " or " +
                      parsed->address.text() + "?"}};
}
Parsed interface(std::string_view text) {
  const auto parsed = Prefix::parse(text);
  if (!parsed) return Fail{Refusal{}};
  const bool network = parsed->length < parsed->address.bits() - 1 && !parsed->has_host_bits();
  if (!network) return Value{*parsed};
  const auto first = parsed->address.next();
  return Fail{Refusal{"this is the network itself; an address in it is " +
                      first.value_or(parsed->address).text() + "/" +
                      std::to_string(parsed->length)}};
}

Parsed fwmark(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return Fail{Refusal{"the mask is missing"}};
  const auto value = parse_hex_or_decimal(text.substr(0, slash));
  const auto mask = parse_hex_or_decimal(text.substr(slash + 1));
  if (!value || !mask || *value > UINT32_MAX || *mask > UINT32_MAX) return Fail{Refusal{}};
  if (*value == 0 || (*value & ~*mask) != 0) return Fail{Refusal{}};
  return Value{Fwmark{static_cast<uint32_t>(*value), static_cast<uint32_t>(*mask)}};
}

Parsed member(std::string_view text) {
  constexpr std::string_view kGroup = "group:";
  const bool group = text.starts_with(kGroup);
  if (is_label(group ? text.substr(kGroup.size()) : text)) return Value{std::string(text)};
  return Fail{Refusal{}};
}

Parsed who(std::string_view text) {
  if (text == "*" || is_label(text)) return Value{std::string(text)};
  if (text.starts_with("tag:")) return Fail{Refusal{"tags are not in this version"}};
  if (text.starts_with("group:")) return member(text);
  if (Prefix::parse(text)) {
    auto exact = prefix(text);
    if (!exact) return exact;
    return Value{std::string(text)};
  }
  if (IpRange::parse(text)) return Value{std::string(text)};
  const auto dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto first = IpAddress::parse(text.substr(0, dash));
    const auto last = IpAddress::parse(text.substr(dash + 1));
    if (first && last) return Fail{Refusal{"a range runs upwards in one family"}};
  }
  return Fail{Refusal{}};
}

Parsed proto(std::string_view text) {
  if (const auto parsed = parse_proto(text)) return Value{*parsed};
  return Fail{Refusal{}};
}

Parsed ports(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last) return Fail{Refusal{}};
  if (*first > *last) {
    return Fail{
        Refusal{"did you mean \"" + std::to_string(*last) + "-" + std::to_string(*first) + "\"?"}};
  }
  return Value{PortRange{*first, *last}};
}

Parsed window(std::string_view text) {
  auto parsed = parse_time_window(text);
  if (parsed) return Value{std::move(*parsed)};
  return Fail{Refusal{std::move(parsed).error()}};
}

Parsed count(const Option& option, std::string_view text) {
  const auto number = parse_number(text);
  if (!number || *number < option.least || *number > option.most) return Fail{Refusal{}};
  return Value{*number};
}

Parsed duration(const Option& option, std::string_view text) {
  const auto parsed = parse_duration(text);
  if (!parsed) return Fail{Refusal{}};
  const auto seconds = static_cast<uint64_t>(parsed->count());
  if (seconds < option.least || seconds > option.most) return Fail{Refusal{}};
  return Value{*parsed};
}

Parsed secret(std::string_view text) {
  constexpr std::string_view kFile = "file:";
  if (text.starts_with(kFile)) {
    const auto path = text.substr(kFile.size());
    if (path.empty()) return Fail{Refusal{"the path is missing"}};
    return Value{SecretValue{.file = std::string(path), .key = {}}};
  }
  if (auto key = PresharedKey::parse(text)) return Value{SecretValue{.file = {}, .key = key}};
  const bool path = text.starts_with('/') && text.size() != 44;
  return Fail{Refusal{path ? "a file is written as file:PATH" : ""}};
}

Parsed public_key(std::string_view text) {
  const auto key = PublicKey::parse(text);
  if (!key) return Fail{Refusal{}};
  if (key->is_zero()) return Fail{Refusal{"a key of zeros is nobody's"}};
  return Value{*key};
}

Parsed choice(const Option& option, std::string_view text) {
  if (has_choice(option.choices, text)) return Value{std::string(text)};
  const bool later = has_choice(option.later, text);
  return Fail{Refusal{later ? "\"" + std::string(text) + "\" is not in this version" : ""}};
}

template <class T>
Parsed or_refuse(const std::optional<T>& parsed) {
  if (parsed) return Value{*parsed};
  return Fail{Refusal{}};
}

Parsed text_if(bool good, std::string_view text) {
  if (good) return Value{std::string(text)};
  return Fail{Refusal{}};
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= 512 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-'; });
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<char, uint64_t>, 4> kUnits{
      {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};
  constexpr uint64_t kMost = 100ULL * 366 * 86400;
  if (const auto seconds = parse_number(text)) {
    if (*seconds > kMost) return {};
    return std::chrono::seconds(*seconds);
  }
  uint64_t sum = 0;
  const auto* next_unit = kUnits.begin();  // units fall: 1h30m, never 30m1h or 1m1m
  while (!text.empty()) {
    const auto digits =
        static_cast<size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
    const auto number = parse_number(text.substr(0, digits));
    if (!number || *number > kMost || digits == text.size()) return {};
    const auto* unit = std::find_if(next_unit, kUnits.end(),
                                    [&](const auto& known) { return known.first == text[digits]; });
    if (unit == kUnits.end()) return {};
    sum += *number * unit->second;
    if (sum > kMost) return {};
    next_unit = unit + 1;
    text.remove_prefix(digits + 1);
  }
  if (next_unit == kUnits.begin()) return {};
  return std::chrono::seconds(sum);
}

std::optional<WallTime> parse_time(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kForm.size()) return {};
  for (size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == 'd' ? !is_digit(text[i]) : text[i] != kForm[i]) return {};
  }
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (const char c : text.substr(at, digits)) value = value * 10 + (c - '0');
    return value;
  };
  const year_month_day date{year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2)))};
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  // Years that nanoseconds since 1970 can tell (until 2262).
  if (!date.ok() || number(0, 4) < 1970 || number(0, 4) > 2200) return {};
  if (hour > 23 || minute > 59 || second > 59) return {};

  const auto zone = text.substr(kForm.size());
  minutes offset{0};
  if (zone != "Z") {
    constexpr std::string_view kOffset = "+dd:dd";
    if (zone.size() != kOffset.size() || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':')
      return {};
    for (const size_t i : {1U, 2U, 4U, 5U}) {
      if (!is_digit(zone[i])) return {};
    }
    const int h = number(kForm.size() + 1, 2);
    const int m = number(kForm.size() + 4, 2);
    if (h > 23 || m > 59) return {};
    offset = minutes((h * 60 + m) * (zone[0] == '-' ? -1 : 1));
  }
  return WallTime(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second) - offset;
}

Result<Value, Refusal> parse_scalar(const Option& option, std::string_view text) {
  switch (option.kind) {
    case Kind::kText:
      return text_if(!text.empty(), text);
    case Kind::kLabel:
      return text_if(is_label(text), text);
    case Kind::kId:
      return text_if(is_id(text), text);
    case Kind::kDevice:
      return text_if(is_device(text), text);
    case Kind::kBool:
      return or_refuse(parse_bool(text));
    case Kind::kChoice:
      return choice(option, text);
    case Kind::kCount:
      return count(option, text);
    case Kind::kPort: {
      const auto port = parse_port(text);
      if (!port) return Fail{Refusal{}};
      return Value{uint64_t{*port}};
    }
    case Kind::kDuration:
      return duration(option, text);
    case Kind::kAddress:
      return or_refuse(IpAddress::parse(text));
    case Kind::kPrefix:
      return prefix(text);
    case Kind::kInterface:
      return interface(text);
    case Kind::kPublicKey:
      return public_key(text);
    case Kind::kSecret:
      return secret(text);
    case Kind::kToken:
      return token(text);
    case Kind::kUrl:
      return text_if(is_url(text), text);
    case Kind::kSwitches:
      return prefix_switch(text);
    case Kind::kHostPort:
      return host_port(text);
    case Kind::kHostMaybePort:
      return host_maybe_port(text);
    case Kind::kListen:
      return listen(text);
    case Kind::kFwmark:
      return fwmark(text);
    case Kind::kMember:
      return member(text);
    case Kind::kWho:
      return who(text);
    case Kind::kProto:
      return proto(text);
    case Kind::kPorts:
      return ports(text);
    case Kind::kWindow:
      return window(text);
    case Kind::kTime:
      return or_refuse(parse_time(text));
    case Kind::kSize:  // only keys of later versions are sizes
    case Kind::kMap:
    case Kind::kNamedLists:
      break;
  }
  return Fail{Refusal{}};
}

}  // namespace sallyport::options
