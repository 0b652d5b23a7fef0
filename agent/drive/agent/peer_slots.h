// SPDX-License-Identifier: BSD-3-Clause
/// Which slot of the kernel's "peers" is whose: the same for a peer over policies and restarts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/keys.h"

namespace sallyport {

/// A value. A slot that a peer gave up is handed out again only once the kernel counts no flow in
/// it.
class PeerSlots {
 public:
  /// Gives each key a slot and frees those of other keys. `in_use(slot)`: does the kernel still
  /// count flows there? The answer lists the slots that were given to a new peer: they must be
  /// cleared. Nothing: more than `limit` - 1 peers (or their predecessors' flows); nothing has
  /// changed.
  std::optional<std::vector<uint32_t>> assign(const std::vector<PublicKey>& keys, uint32_t limit,
                                              const std::function<bool(uint32_t)>& in_use);
  /// 0: none.
  [[nodiscard]] uint32_t find(const PublicKey& key) const;
  /// 0: none has any.
  [[nodiscard]] uint32_t highest() const;

  /// One line a peer, for RUN/peer_slots.
  [[nodiscard]] std::string text() const;
  static std::optional<PeerSlots> parse(std::string_view text);

 private:
  std::map<PublicKey, uint32_t> live_;
};

}  // namespace sallyport
