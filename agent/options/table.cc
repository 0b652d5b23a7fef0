// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/table.h"

#include <algorithm>

namespace sallyport::options {
namespace {

constexpr std::string_view kCeiling = "ceiling[]";
constexpr std::string_view kRules = "rules[]";

std::string canonical(std::string_view path) {
  if (!path.starts_with(kCeiling)) return std::string(path);
  return std::string(kRules) + std::string(path.substr(kCeiling.size()));
}

/// "a|b|c" -> "a, b or c"
std::string spoken(std::string_view choices) {
  std::string out;
  while (true) {
    const auto bar = choices.find('|');
    out += choices.substr(0, bar);
    if (bar == std::string_view::npos) return out;
    choices.remove_prefix(bar + 1);
    out += choices.find('|') == std::string_view::npos ? " or " : ", ";
  }
}

std::string range_text(const Option& option) {
  if (option.least == option.most) return std::to_string(option.least);
  return std::to_string(option.least) + "-" + std::to_string(option.most);
}

std::string counted(const Option& option) {
  return option.unit.empty() ? std::string() : " of " + std::string(option.unit);
}

struct KindText {
  std::string_view one;       // in the reference page
  std::string_view many;      // likewise, of a list
  std::string_view expected;  // in an error
};

KindText text_of(Kind kind) {
  switch (kind) {
    case Kind::kText:
      return {"text", "texts", "text"};
    case Kind::kLabel:
      return {"name", "names", "a name of letters, digits and inner hyphens, at most 63"};
    case Kind::kId:
      return {"name", "names", "a name of letters, digits, '-', '_' and '.', at most 63"};
    case Kind::kDevice:
      return {"device", "devices", "the name of a network device, at most 15 characters"};
    case Kind::kBool:
      return {"on|off", "on|off", "on or off"};
    case Kind::kChoice:
      return {"choice", "choices", ""};
    case Kind::kCount:
      return {"number", "numbers", ""};
    case Kind::kPort:
      return {"port", "ports", "a port number, 0-65535"};
    case Kind::kDuration:
      return {"duration", "durations", ""};
    case Kind::kSize:
      return {"size", "sizes", "a size such as 256Mi"};
    case Kind::kAddress:
      return {"address", "addresses", "an IPv4 or IPv6 address"};
    case Kind::kPrefix:
      return {"prefix", "prefixes", "a prefix"};
    case Kind::kInterface:
      return {"address/length", "addresses/lengths", "an address with the length of its network"};
    case Kind::kPublicKey:
      return {"key", "keys", "a WireGuard key, 44 characters of base64"};
    case Kind::kSecret:
      return {"file:PATH", "file:PATH", "file:PATH or a WireGuard key, 44 characters of base64"};
    case Kind::kToken:
      return {"file:PATH", "", "file:PATH or the key itself, printable and without blanks"};
    case Kind::kUrl:
      return {"URL", "", "http://HOST[:PORT] or https://HOST[:PORT]"};
    case Kind::kHostPort:
      return {"host:port", "host:port", "HOST:PORT"};
    case Kind::kHostMaybePort:
      return {"host[:port]", "host[:port]", "HOST or HOST:PORT"};
    case Kind::kListen:
      return {"address:port or unix:PATH", "", "ADDRESS:PORT or unix:PATH"};
    case Kind::kFwmark:
      return {"value/mask", "", "VALUE/MASK, the value not 0 and within the mask"};
    case Kind::kMember:
      return {"member", "members", "the name of a peer, or group:NAME"};
    case Kind::kWho:
      return {"end", "ends",
              "a peer, group:NAME, LAN, lan, exit, self, address, prefix, range or *"};
    case Kind::kProto:
      return {"protocol", "protocols",
              "tcp, udp, icmp, icmpv6, sctp, esp, gre, tsmp or a number, 0-255"};
    case Kind::kPorts:
      return {"port or a-b", "ports or a-b", "a port number, or \"a-b\" with a <= b"};
    case Kind::kWindow:
      return {"window", "windows", "[DAYS] HH:MM-HH:MM ZONE"};
    case Kind::kTime:
      return {"time", "times", "a time with seconds and zone"};
    case Kind::kMap:
      return {"map", "maps", "a map of keys"};
    case Kind::kNamedLists:
      return {"map of lists", "", "a map of NAME: [...]"};
    case Kind::kSwitches:
      return {"map of on|off", "", "a map of PREFIX: on|off"};
  }
  return {};
}

bool example_helps(Kind kind) {
  return kind == Kind::kAddress || kind == Kind::kPrefix || kind == Kind::kInterface ||
         kind == Kind::kHostPort || kind == Kind::kHostMaybePort || kind == Kind::kListen ||
         kind == Kind::kWindow || kind == Kind::kTime || kind == Kind::kFwmark;
}

}  // namespace

const Option* find_option(std::string_view path) {
  const auto wanted = canonical(path);
  // The row of a list is named with "[]" and may be asked for without.
  const auto found = std::ranges::find_if(kOptions, [&](const Option& option) {
    return option.path == path || option.path == wanted ||
           (option.is_list() && option.path.substr(0, option.path.size() - 2) == wanted);
  });
  return found == std::end(kOptions) ? nullptr : &*found;
}

std::vector<const Option*> children(std::string_view path) {
  const auto wanted = path.starts_with(kCeiling) ? canonical(path) : std::string(path);
  std::vector<const Option*> out;
  for (const Option& option : kOptions) {
    if (option.parent() == wanted) out.push_back(&option);
  }
  return out;
}

std::string expected_text(const Option& option) {
  if (option.kind == Kind::kChoice) return spoken(option.choices);
  if (option.kind == Kind::kCount && option.least == option.most) return range_text(option);
  if (option.kind == Kind::kCount) return "a number" + counted(option) + ", " + range_text(option);
  if (option.kind == Kind::kDuration) {
    return "a duration such as " + std::string(option.example) + ", " +
           std::to_string(option.least) + " s to " + std::to_string(option.most) + " s";
  }
  std::string out(text_of(option.kind).expected);
  if (example_helps(option.kind)) out += " such as " + std::string(option.example);
  return out;
}

std::string type_text(const Option& option) {
  const auto kind = text_of(option.kind);
  if (option.is_list()) return "list of " + std::string(kind.many);
  if (option.kind == Kind::kCount) return "number" + counted(option) + ", " + range_text(option);
  return std::string(option.kind == Kind::kChoice ? option.choices : kind.one);
}

std::string example_text(const Option& option) {
  std::string value(option.example);
  if (!option.is_list()) return value;
  const bool quotes = value.find_first_of(":*") != std::string::npos;
  return quotes ? "[\"" + value + "\"]" : "[" + value + "]";
}

}  // namespace sallyport::options
