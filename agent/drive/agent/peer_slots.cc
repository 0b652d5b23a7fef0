// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/peer_slots.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace sallyport {

std::optional<std::vector<uint32_t>> PeerSlots::assign(
    const std::vector<PublicKey>& keys, uint32_t limit,
    const std::function<bool(uint32_t)>& in_use) {
  std::map<PublicKey, uint32_t> next;
  std::set<uint32_t> taken;
  for (const PublicKey& key : keys) {
    const auto known = live_.find(key);
    if (known == live_.end() || known->second >= limit) continue;
    next.emplace(*known);
    taken.insert(known->second);
  }
  std::vector<uint32_t> given;
  uint32_t slot = 1;
  for (const PublicKey& key : keys) {
    if (next.contains(key)) continue;
    while (slot < limit && (taken.contains(slot) || in_use(slot))) ++slot;
    if (slot >= limit) return {};
    next.emplace(key, slot);
    given.push_back(slot++);
  }
  live_ = std::move(next);
  return given;
}

uint32_t PeerSlots::find(const PublicKey& key) const {
  const auto known = live_.find(key);
  return known == live_.end() ? 0 : known->second;
}

uint32_t PeerSlots::highest() const {
  uint32_t out = 0;
  for (const auto& [key, slot] : live_) out = std::max(out, slot);
  return out;
}

std::string PeerSlots::text() const {
  std::string out;
  for (const auto& [key, slot] : live_) out += key.text() + " " + std::to_string(slot) + "\n";
  return out;
}

std::optional<PeerSlots> PeerSlots::parse(std::string_view text) {
  PeerSlots out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    const std::string_view line = text.substr(0, end);
    text = text.substr(end + 1);
    const size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return {};
    const auto key = PublicKey::parse(line.substr(0, blank));
    const std::string_view digits = line.substr(blank + 1);
    uint32_t slot = 0;
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), slot);
    if (!key || error != std::errc{} || last != digits.data() + digits.size() || slot == 0)
      return {};
    out.live_[*key] = slot;
  }
  return out;
}

}  // namespace sallyport
