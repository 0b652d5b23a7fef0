// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/drop_log.h"

#include <algorithm>

#include "agent/base/bytes.h"

namespace sallyport {

Drop drop_of(const sp_drop_event& event, WallTime at) {
  Drop drop;
  drop.at = at;
  drop.word = event.word;
  drop.peer = event.peer;
  drop.rule = event.rule;
  drop.verdict = event.verdict;
  drop.hook = event.hook;
  drop.ifindex = event.ifindex;
  drop.packet = {IpAddress::v6(std::span<const uint8_t, 16>(event.src_addr)),
                 IpAddress::v6(std::span<const uint8_t, 16>(event.dst_addr)),
                 static_cast<IpProto>(event.proto), from_be(event.src_port_be),
                 from_be(event.dst_port_be)};
  drop.count = 1;
  return drop;
}

void DropLog::add(const sp_drop_event& event, WallTime at) {
  const Drop drop = drop_of(event, at);
  suppressed_ += event.suppressed;
  const Kind kind{drop.verdict,    drop.hook,       drop.peer,   drop.rule,
                  drop.packet.src, drop.packet.dst, event.proto, drop.packet.dst_port,
                  drop.ifindex};
  Drop& entry = kinds_[kind];
  const uint64_t before = entry.count;
  entry = drop;
  entry.count = before + 1;
  if (kinds_.size() <= kKinds) return;
  kinds_.erase(std::ranges::min_element(kinds_, {}, [](const auto& one) { return one.second.at; }));
}

std::vector<Drop> DropLog::newest() const {
  std::vector<Drop> out;
  out.reserve(kinds_.size());
  for (const auto& [kind, drop] : kinds_) out.push_back(drop);
  std::ranges::sort(out, {}, &Drop::at);
  return out;
}

}  // namespace sallyport
