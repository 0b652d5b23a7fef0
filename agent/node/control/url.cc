// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/url.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/model/ip.h"

namespace sallyport::control {
namespace {

constexpr uint16_t kHttp = 80;
constexpr uint16_t kHttps = 443;
constexpr size_t kMaxUrl = 2048;

bool is_near(const std::string& host) {
  if (host == "localhost") return true;
  const auto address = IpAddress::parse(host);
  if (!address) return false;
  constexpr std::array kRanges = {"10.0.0.0/8",  "172.16.0.0/12", "192.168.0.0/16",
                                  "127.0.0.0/8", "fc00::/7",      "::1"};
  return std::ranges::any_of(kRanges, [&](const char* text) {
    const auto range = IpRange::parse(text);
    return range && range->contains(*address);
  });
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

}  // namespace

std::optional<ControlUrl> ControlUrl::parse(std::string_view text) {
  ControlUrl url;
  if (text.size() > kMaxUrl) return std::nullopt;
  if (text.starts_with("https://")) {
    url.tls = true;
  } else if (!text.starts_with("http://")) {
    return std::nullopt;
  }
  text.remove_prefix(url.tls ? 8 : 7);
  // It goes into request lines as it is.
  if (std::ranges::any_of(text, [](char c) { return c <= ' ' || c > '~'; })) return std::nullopt;
  if (text.find_first_of("#@") != std::string_view::npos) return std::nullopt;

  const size_t slash = std::min(text.find_first_of("/?"), text.size());
  const std::string_view authority = text.substr(0, slash);
  url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();

  std::string_view after_host;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    url.host = authority.substr(1, close - 1);
    after_host = authority.substr(close + 1);
    const auto address = IpAddress::parse(url.host);
    if (!address || address->is_v4()) return std::nullopt;
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    after_host = authority.substr(colon);
    if (url.host.empty() || !std::ranges::all_of(url.host, is_host_character)) return std::nullopt;
  }
  url.port = url.tls ? kHttps : kHttp;
  if (after_host.empty()) return url;
  const auto port = after_host.starts_with(':') ? parse_port(after_host.substr(1)) : std::nullopt;
  if (!port) return std::nullopt;
  url.port = *port;
  url.port_given = true;
  return url;
}

std::string ControlUrl::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port_given) out += ":" + std::to_string(port);
  return out;
}

std::string ControlUrl::text() const { return (tls ? "https://" : "http://") + authority() + path; }

std::vector<Leg> noise_legs(const ControlUrl& url) {
  if (url.tls) return {{Wrap::kPlain, kHttp}, {Wrap::kTlsUnverified, url.port}};
  if (is_near(url.host)) return {{Wrap::kPlain, url.port}};
  return {{Wrap::kPlain, url.port}, {Wrap::kTlsUnverified, kHttps}};
}

}  // namespace sallyport::control
