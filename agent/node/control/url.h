// SPDX-License-Identifier: BSD-3-Clause
/// Where a control server is, as people write it, and how its channel is dialled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::control {

struct ControlUrl {
  bool tls = false;
  std::string host;  // a name or a literal address, without brackets
  uint16_t port = 0;
  bool port_given = false;
  std::string path;  // "" or "/prefix", no slash at its end

  /// "https://control.example:8443/prefix". Nothing: another scheme, no host, user or fragment in
  /// it.
  static std::optional<ControlUrl> parse(std::string_view text);
  /// As in a Host field: the port only if it was given.
  [[nodiscard]] std::string authority() const;
  [[nodiscard]] std::string text() const;
  friend bool operator==(const ControlUrl&, const ControlUrl&) = default;
};

/// What a connection is wrapped in.
enum class Wrap : uint8_t {
  kPlain,
  kTls,
  /// Whatever certificate is shown: what runs inside authenticates the server.
  kTlsUnverified,
};
struct Leg {
  Wrap wrap = Wrap::kPlain;
  uint16_t port = 0;
  friend bool operator==(const Leg&, const Leg&) = default;
};
/// The ways to a server's Noise channel, the first one first. Also with an https URL port 80 comes
/// first: it is the one that middle boxes leave alone least badly, and the channel does not need
/// TLS. Source: tailscale control/ts2021/client.go, control/controlhttp/client.go.
std::vector<Leg> noise_legs(const ControlUrl& url);

}  // namespace sallyport::control
