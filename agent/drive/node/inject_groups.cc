// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/inject_groups.h"

#include <algorithm>
#include <utility>

namespace sallyport {
namespace {

// So many of the newest groups are looked at for one that takes another packet: more peers than
// that seldom send within one turn, and a search of all would be slow when they do.
constexpr ptrdiff_t kSearched = 16;
// A buffer may have grown to a group's size: together a MB.
constexpr size_t kSpare = 16;

bool takes(const InjectGroup& group, size_t size) {
  const bool last_is_whole = group.bytes.size() == group.packets * group.segment_bytes;
  return last_is_whole && size <= group.segment_bytes &&
         group.packets < InjectGroups::kMaxPackets &&
         group.bytes.size() + size <= InjectGroups::kMaxBytes;
}

}  // namespace

InjectGroup* InjectGroups::find_open(const IpAddress& parking, size_t size) {
  const auto end = groups_.rbegin() + std::min(kSearched, std::ssize(groups_));
  const auto newest = std::find_if(
      groups_.rbegin(), end, [&](const InjectGroup& group) { return group.parking == parking; });
  return newest != end && takes(*newest, size) ? &*newest : nullptr;
}

InjectGroup& InjectGroups::begin(const IpAddress& parking, size_t size) {
  InjectGroup& group = groups_.emplace_back();
  group.parking = parking;
  group.segment_bytes = size;
  if (!spare_.empty()) {
    group.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  return group;
}

bool InjectGroups::add(const IpAddress& parking, ByteView packet) {
  if (packet.empty() || packet.size() > kMaxBytes || packets_ == kQueuePackets ||
      bytes_ + packet.size() > kQueueBytes) {
    return false;
  }
  InjectGroup* group = find_open(parking, packet.size());
  if (group == nullptr) group = &begin(parking, packet.size());
  group->bytes.insert(group->bytes.end(), packet.begin(), packet.end());
  ++group->packets;
  ++packets_;
  bytes_ += packet.size();
  return true;
}

void InjectGroups::pop() {
  InjectGroup& group = groups_.front();
  packets_ -= group.packets;
  bytes_ -= group.bytes.size();
  if (spare_.size() < kSpare) {
    group.bytes.clear();
    spare_.push_back(std::move(group.bytes));
  }
  groups_.pop_front();
}

}  // namespace sallyport
