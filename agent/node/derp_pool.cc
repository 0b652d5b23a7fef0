// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/derp_pool.h"

#include <algorithm>
#include <utility>

namespace sallyport {

PoolActions DerpPool::on_map(const DerpMap& map, Instant now) {
  map_ = map;
  PoolActions out;
  for (auto it = regions_.begin(); it != regions_.end();) {
    const auto region = map_.regions.find(it->first);
    if (region == map_.regions.end()) {
      add(it->first, it->second.session->close(now), now, out);
      it = regions_.erase(it);
    } else {
      add(it->first, it->second.session->on_region(region->second, now), now, out);
      ++it;
    }
  }
  if (home_ != 0 && map_.regions.contains(home_)) open(home_, now, out);
  return out;
}

PoolActions DerpPool::set_home(uint16_t region, Instant now) {
  PoolActions out;
  if (region == home_) return out;
  const uint16_t old = std::exchange(home_, region);
  if (const auto was = regions_.find(old); was != regions_.end()) {
    was->second.last_use = now;  // peers learn of the new one in a while
    add(old, was->second.session->set_home(false, now), now, out);
  }
  open(home_, now, out);
  return out;
}

DerpPool::Region* DerpPool::open(uint16_t id, Instant now, PoolActions& out) {
  const auto region = map_.regions.find(id);
  if (region == map_.regions.end()) return nullptr;
  Region& entry = regions_[id];
  if (!entry.session) {
    entry.session = std::make_unique<DerpSession>(random_, own_, region->second);
    entry.last_use = now;
  }
  add(id, entry.session->set_home(id == home_, now), now, out);
  add(id, entry.session->open(now), now, out);
  return &entry;
}

void DerpPool::add(uint16_t region, DerpActions actions, Instant now, PoolActions& out) {
  bool up = false;
  for (DerpAction& action : actions) {
    up = up || std::holds_alternative<DerpUp>(action);
    out.push_back(RegionAction{region, std::move(action)});
  }
  if (!up) return;
  expire(now);
  for (Held& held : held_) {
    if (held.region == region) out.push_back(SendHeld{region, held.peer, std::move(held.packet)});
  }
  std::erase_if(held_, [&](const Held& held) { return held.region == region; });
}

void DerpPool::expire(Instant now) {
  dropped_ += std::erase_if(held_, [&](const Held& held) { return now >= held.until; });
}

DerpPool::Sending DerpPool::send(uint16_t region, const NodeKey& peer, ByteView packet,
                                 Instant now) {
  Sending out;
  const auto known = regions_.find(region);
  if (known != regions_.end() && known->second.session->state() == DerpState::kUp) {
    known->second.last_use = now;
    out.route = DerpRoute::kNow;
    return out;
  }
  Region* entry = open(region, now, out.actions);
  if (entry == nullptr) return out;
  entry->last_use = now;
  expire(now);
  const auto of_peer = [&](const Held& held) { return held.peer == peer; };
  const bool full = std::ranges::count_if(held_, of_peer) >= ptrdiff_t{kHeldPackets};
  const auto oldest = full ? std::ranges::find_if(held_, of_peer) : held_.begin();
  if (full || held_.size() >= kHeldInAll) {
    held_.erase(oldest);
    ++dropped_;
  }
  held_.push_back({region, peer, Bytes(packet.begin(), packet.end()), now + kHeldFor});
  out.route = DerpRoute::kHeld;
  return out;
}

void DerpPool::on_received(uint16_t region, Instant now) {
  const auto entry = regions_.find(region);
  if (entry != regions_.end()) entry->second.last_use = now;
}

PoolActions DerpPool::on_connected(uint16_t region, uint64_t dial, Instant now) {
  PoolActions out;
  const auto entry = regions_.find(region);
  if (entry != regions_.end())
    add(region, entry->second.session->on_connected(dial, now), now, out);
  return out;
}

PoolActions DerpPool::on_closed(uint16_t region, uint64_t dial, std::string_view why, Instant now) {
  PoolActions out;
  const auto entry = regions_.find(region);
  if (entry != regions_.end())
    add(region, entry->second.session->on_closed(dial, why, now), now, out);
  return out;
}

PoolActions DerpPool::on_message(uint16_t region, const derp::Message& message, Instant now) {
  PoolActions out;
  const auto entry = regions_.find(region);
  if (entry == regions_.end()) return out;
  if (std::holds_alternative<derp::RecvPacket>(message)) entry->second.last_use = now;
  add(region, entry->second.session->on_message(message, now), now, out);
  return out;
}

PoolActions DerpPool::on_network_changed(Instant now) {
  PoolActions out;
  for (auto& [id, entry] : regions_) add(id, entry.session->on_network_changed(now), now, out);
  return out;
}

PoolActions DerpPool::on_wake(Instant now) {
  PoolActions out;
  expire(now);
  for (auto it = regions_.begin(); it != regions_.end();) {
    auto& [id, entry] = *it;
    if (id != home_ && now >= entry.last_use + kDerpIdle) {
      add(id, entry.session->close(now), now, out);
      it = regions_.erase(it);
      continue;
    }
    add(id, entry.session->on_wake(now), now, out);
    ++it;
  }
  return out;
}

std::optional<Instant> DerpPool::next_wake() const {
  std::optional<Instant> next;
  const auto earlier = [&](std::optional<Instant> when) {
    if (when && (!next || *when < *next)) next = when;
  };
  for (const auto& [id, entry] : regions_) {
    earlier(entry.session->next_wake());
    if (id != home_) earlier(entry.last_use + kDerpIdle);
  }
  if (!held_.empty()) earlier(held_.front().until);
  return next;
}

const DerpSession* DerpPool::session(uint16_t region) const {
  const auto entry = regions_.find(region);
  return entry == regions_.end() ? nullptr : entry->second.session.get();
}

}  // namespace sallyport
