// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/userspace_wg/uapi.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <span>

namespace sallyport::userspace_wg {
namespace {

constexpr std::array<uint8_t, 32> kNoKey{};

std::string hex(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::optional<std::array<uint8_t, 32>> key_from(std::string_view text) {
  std::array<uint8_t, 32> out{};
  if (text.size() != 2 * out.size()) return {};
  for (size_t i = 0; i < out.size(); ++i) {
    const char* const at = text.data() + (2 * i);
    if (std::from_chars(at, at + 2, out[i], 16).ptr != at + 2) return {};
  }
  return out;
}

template <class Number>
bool read(std::string_view text, Number& out) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, out);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

std::string line(std::string_view name, const std::string& value) {
  return std::string(name) + "=" + value + "\n";
}

template <class T>
bool keep(std::optional<T> parsed, std::optional<T>& into) {
  into = parsed;
  return parsed.has_value();
}

class Reader {
 public:
  explicit Reader(const std::string& device) { seen_.device.name = device; }

  bool take(std::string_view name, std::string_view value) {
    if (name == "public_key") return on_peer(value);
    return peer_ == nullptr ? of_device(name, value) : of_peer(name, value);
  }
  WgObserved finish() && {
    for (auto& [key, peer] : seen_.device.peers) std::ranges::sort(peer.allowed_ips);
    return std::move(seen_);
  }

 private:
  bool on_peer(std::string_view value) {
    const auto key = key_from(value);
    if (!key) return false;
    const PublicKey public_key{*key};
    peer_ = &seen_.device.peers[public_key];
    stats_ = &seen_.stats[public_key];
    peer_->public_key = public_key;
    return true;
  }
  bool of_device(std::string_view name, std::string_view value) {
    WgDevice& device = seen_.device;
    if (name == "listen_port") return read(value, device.listen_port);
    if (name == "fwmark") return read(value, device.fwmark);
    if (name != "private_key") return true;
    const auto key = key_from(value);
    if (key) device.private_key = PrivateKey{Secret<32>(*key)};
    return key.has_value();
  }
  bool of_peer(std::string_view name, std::string_view value) {
    if (name == "endpoint") return keep(Endpoint::parse(value), peer_->endpoint);
    if (name == "persistent_keepalive_interval") return read(value, peer_->keepalive_s);
    if (name == "last_handshake_time_sec") return read(value, stats_->last_handshake_unix_s);
    if (name == "rx_bytes") return read(value, stats_->rx_bytes);
    if (name == "tx_bytes") return read(value, stats_->tx_bytes);
    if (name == "allowed_ip") {
      const auto prefix = Prefix::parse(value);
      if (prefix) peer_->allowed_ips.push_back(*prefix);
      return prefix.has_value();
    }
    if (name != "preshared_key") return true;
    const auto key = key_from(value);
    if (key && *key != kNoKey) peer_->preshared_key = PresharedKey{Secret<32>(*key)};
    return key.has_value();
  }

  WgObserved seen_;
  WgPeer* peer_ = nullptr;
  WgPeerStats* stats_ = nullptr;
};

}  // namespace

std::string to_lines(const SetDevice& step) {
  std::string out;
  if (step.private_key) out += line("private_key", hex(step.private_key->scalar.reveal()));
  if (step.fwmark) out += line("fwmark", std::to_string(*step.fwmark));
  if (step.listen_port) out += line("listen_port", std::to_string(*step.listen_port));
  return out;
}

std::string to_lines(const SetPeer& step) {
  std::string out = line("public_key", hex(step.public_key.bytes));
  if (!step.create) out += line("update_only", "true");
  if (step.replace_preshared_key) {
    const bool none = !step.preshared_key;
    out += line("preshared_key", none ? hex(kNoKey) : hex(step.preshared_key->bytes.reveal()));
  }
  if (step.endpoint) out += line("endpoint", step.endpoint->text());
  if (step.keepalive_s) {
    out += line("persistent_keepalive_interval", std::to_string(*step.keepalive_s));
  }
  if (!step.allowed_ips) return out;
  out += line("replace_allowed_ips", "true");
  for (const Prefix& prefix : *step.allowed_ips) out += line("allowed_ip", prefix.text());
  return out;
}

std::string to_lines(const RemovePeer& step) {
  return line("public_key", hex(step.public_key.bytes)) + line("remove", "true");
}

Result<WgObserved> observed_from(const std::string& device, std::string_view lines) {
  Reader reader(device);
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view one = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = one.substr(0, equals);
    if (!reader.take(name, one.substr(equals + 1))) {
      return fail(EBADMSG, "read " + std::string(name) + " of " + device);
    }
  }
  return std::move(reader).finish();
}

}  // namespace sallyport::userspace_wg
