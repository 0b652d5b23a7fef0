// SPDX-License-Identifier: BSD-3-Clause
/// Writes values as JSON, members in the order of their lists. Private to this room.
#pragma once

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/wire/tailcfg/json_field.h"

namespace sallyport::tailcfg {

template <class T>
  requires std::integral<T> || std::floating_point<T>
Json write(T value) {
  return value;
}
inline Json write(const std::string& value) { return value; }
Json write(const Bytes& value);
Json write(const RawJson& value);
/// A capability without values has null, as the reference writes it.
Json write(const std::vector<RawJson>& values);
Json write(const IpAddress& value);
Json write(const Prefix& value);
Json write(const Endpoint& value);
Json write(const NodeKey& value);
Json write(const MachineKey& value);
Json write(const DiscoKey& value);
Json write(const ChallengeKey& value);
Json write(const LockKey& value);
inline Json write(NodeId value) { return static_cast<int64_t>(value); }
inline Json write(UserId value) { return static_cast<int64_t>(value); }
Json write(const std::optional<WallTime>& value);

template <class T>
Json write(const std::optional<T>& value);
template <class T>
Json write(const std::vector<T>& value);
template <class K, class V>
Json write(const std::map<K, V>& value);
template <Listed T>
Json write(const T& value);

template <class T>
Json write(const std::optional<T>& value) {
  return value ? write(*value) : Json(nullptr);
}

template <class T>
Json write(const std::vector<T>& value) {
  Json out = Json::array();
  for (const auto& member : value) out.push_back(write(member));
  return out;
}

inline std::string key_text(const std::string& key) { return key; }
inline std::string key_text(NodeId key) { return std::to_string(static_cast<int64_t>(key)); }
inline std::string key_text(uint16_t key) { return std::to_string(key); }

template <class K, class V>
Json write(const std::map<K, V>& value) {
  Json out = Json::object();
  // emplace_back: the keys of a map differ, and push_back would look for each among the others.
  auto& members = out.get_ref<Json::object_t&>();
  for (const auto& [key, member] : value) members.emplace_back(key_text(key), write(member));
  return out;
}

template <Listed T>
Json write(const T& value) {
  Json out = Json::object();
  auto& members = out.get_ref<Json::object_t&>();
  for (const Field<T>& field : fields_of(&value)) {
    if (field.presence == Presence::kUnlessZero && field.is_zero(value)) continue;
    members.emplace_back(std::string(field.name), field.write(value));
  }
  return out;
}

/// Bytes that are no UTF-8 become U+FFFD.
std::string text_of(const Json& json);

}  // namespace sallyport::tailcfg
