// SPDX-License-Identifier: BSD-3-Clause
/// Reads JSON of strangers into values. Private to this room: the other headers show values only.
///
/// Names of members are matched exactly. An unknown member is skipped, a known one that is there
/// twice is refused. `null` is as good as absent, except as a value of a map, where it is kept.
#pragma once

#include <simdjson.h>

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/filter_rule.h"
#include "agent/model/netmap.h"
#include "agent/wire/tailcfg/json_error.h"
#include "agent/wire/tailcfg/json_field.h"

namespace sallyport::tailcfg {

constexpr size_t kMaxDepth = 32;
/// A name, a URL, a message for people.
constexpr size_t kMaxString = 4096;
/// One value of a capability, or an SSH policy: carried as it is.
constexpr size_t kMaxRawJson = size_t{256} * 1024;
constexpr size_t kMaxBinary = size_t{1024} * 1024;
/// Node and user ids are exact in a double. Source: protocol, "JSON conventions".
constexpr int64_t kMaxId = (int64_t{1} << 53) - 1;

/// Members of one list, by what it holds.
template <class T>
constexpr size_t kMaxMembers = 1024;
template <>
inline constexpr size_t kMaxMembers<NetmapNode> = 16384;
template <>
inline constexpr size_t kMaxMembers<NodeId> = 16384;
template <>
inline constexpr size_t kMaxMembers<UserProfile> = 16384;
template <>
inline constexpr size_t kMaxMembers<Prefix> = 16384;  // app connectors have thousands of routes
template <>
inline constexpr size_t kMaxMembers<PeerChange> = 16384;
template <>
inline constexpr size_t kMaxMembers<Endpoint> = 64;
template <>
inline constexpr size_t kMaxMembers<bool> = 16384;  // by node id
template <>
inline constexpr size_t kMaxMembers<FilterRule> = 8192;
template <>
inline constexpr size_t kMaxMembers<NetPortRange> = 8192;
template <>
inline constexpr size_t kMaxMembers<std::string> = 32768;  // sources: all addresses of all nodes

class JsonReader {
 public:
  /// A step of the path that is being read; ends with its scope.
  class Step {
   public:
    Step(JsonReader& reader, std::string_view name) : reader_(reader) {
      reader_.path_.push_back({name, 0});
    }
    Step(JsonReader& reader, size_t index) : reader_(reader) {
      reader_.path_.push_back({{}, index});
    }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
    ~Step() { reader_.path_.pop_back(); }

   private:
    JsonReader& reader_;
  };
  /// What other members of the tailnet wrote themselves and the server only passes on: one of them
  /// must not spoil the netmap for all. What is too long or too many there is left out.
  class PassedOn {
   public:
    explicit PassedOn(JsonReader& reader) : reader_(reader) { ++reader_.passed_on_; }
    PassedOn(const PassedOn&) = delete;
    PassedOn& operator=(const PassedOn&) = delete;
    ~PassedOn() { --reader_.passed_on_; }

   private:
    JsonReader& reader_;
  };

  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] bool passed_on() const { return passed_on_ > 0; }
  [[nodiscard]] const std::optional<JsonError>& error() const { return error_; }
  /// The first failure counts, at the place where we are.
  void fail(std::string what);
  void fail_type(const char* wanted) { fail(std::string("is no ") + wanted); }
  /// Of something passed on: this value is not to be had.
  void leave_out(std::string what) {
    if (!passed_on()) return fail(std::move(what));
    left_out_ = true;
  }
  [[nodiscard]] bool take_left_out() { return std::exchange(left_out_, false); }
  /// A string of at most `most` bytes; false: failed, or left out.
  bool string(JsonValue value, std::string_view& out, size_t most = kMaxString);

 private:
  struct Part {
    std::string_view name;
    size_t index = 0;
  };
  std::vector<Part> path_;
  std::optional<JsonError> error_;
  unsigned passed_on_ = 0;
  bool left_out_ = false;
};

void read(JsonReader& in, JsonValue value, bool& out);
void read(JsonReader& in, JsonValue value, double& out);
void read(JsonReader& in, JsonValue value, std::string& out);
void read(JsonReader& in, JsonValue value, Bytes& out);
void read(JsonReader& in, JsonValue value, RawJson& out);
void read(JsonReader& in, JsonValue value, IpAddress& out);
void read(JsonReader& in, JsonValue value, Prefix& out);
void read(JsonReader& in, JsonValue value, Endpoint& out);
void read(JsonReader& in, JsonValue value, NodeKey& out);
void read(JsonReader& in, JsonValue value, MachineKey& out);
void read(JsonReader& in, JsonValue value, DiscoKey& out);
void read(JsonReader& in, JsonValue value, ChallengeKey& out);
void read(JsonReader& in, JsonValue value, LockKey& out);
void read(JsonReader& in, JsonValue value, NodeId& out);
void read(JsonReader& in, JsonValue value, UserId& out);
/// The zero time of the reference, year 1, is no time.
void read(JsonReader& in, JsonValue value, std::optional<WallTime>& out);

/// A whole number between the two.
void read_number(JsonReader& in, JsonValue value, int64_t least, int64_t most, int64_t& out);
template <std::integral Int>
void read(JsonReader& in, JsonValue value, Int& out) {
  int64_t number = 0;
  read_number(in, value, int64_t{std::numeric_limits<Int>::min()},
              sizeof(Int) < 8 ? int64_t{std::numeric_limits<Int>::max()} : kMaxId, number);
  out = static_cast<Int>(number);
}

template <class T>
void read(JsonReader& in, JsonValue value, std::optional<T>& out);
template <class T>
void read(JsonReader& in, JsonValue value, std::vector<T>& out);
template <class K, class V>
void read(JsonReader& in, JsonValue value, std::map<K, V>& out);

template <Listed T>
void read(JsonReader& in, JsonValue value, T& out);

template <class T>
void read(JsonReader& in, JsonValue value, std::optional<T>& out) {
  if (value.is_null()) {
    out.reset();
    return;
  }
  read(in, value, out.emplace());
}

template <class T>
void read(JsonReader& in, JsonValue value, std::vector<T>& out) {
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return in.fail_type("list");
  out.clear();
  size_t index = 0;
  for (const JsonValue member : list) {
    const JsonReader::Step step(in, index++);
    if (out.size() == kMaxMembers<T>) {
      if (!in.passed_on()) in.fail("has more members than " + std::to_string(kMaxMembers<T>));
      return;
    }
    read(in, member, out.emplace_back());
    if (in.failed()) return;
    if (in.take_left_out()) out.pop_back();
  }
}

namespace detail {
std::optional<int64_t> parse_key(std::string_view key);
inline bool key_of(std::string_view text, std::string& out) {
  out = text;
  return text.size() <= kMaxString;
}
inline bool key_of(std::string_view text, NodeId& out) {
  const auto number = parse_key(text);
  if (number) out = NodeId{*number};
  return number.has_value();
}
inline bool key_of(std::string_view text, uint16_t& out) {
  const auto number = parse_key(text);
  if (!number || *number > std::numeric_limits<uint16_t>::max()) return false;
  out = static_cast<uint16_t>(*number);
  return true;
}
}  // namespace detail

template <class K, class V>
void read(JsonReader& in, JsonValue value, std::map<K, V>& out) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return in.fail_type("object");
  out.clear();
  for (const auto& [name, member] : object) {
    const JsonReader::Step step(in, name);
    K key{};
    if (!detail::key_of(name, key)) return in.fail("is no key for this object");
    if (out.size() == kMaxMembers<V>) {
      if (!in.passed_on()) in.fail("is one more than " + std::to_string(kMaxMembers<V>));
      return;
    }
    const auto [at, fresh] = out.try_emplace(std::move(key));
    if (!fresh) return in.fail("is there twice");
    if (!member.is_null()) read(in, member, at->second);
    if (in.failed()) return;
    if (in.take_left_out()) out.erase(at);
  }
}

template <Listed T>
void read(JsonReader& in, JsonValue value, T& out) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return in.fail_type("object");
  const Fields<T> fields = fields_of(static_cast<const T*>(nullptr));
  uint64_t seen = 0;
  for (const auto& [name, member] : object) {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].name != name) continue;
      const JsonReader::Step step(in, name);
      if ((seen >> i & 1) != 0) return in.fail("is there twice");
      seen |= uint64_t{1} << i;
      if (!member.is_null()) fields[i].read(in, member, out);
      if (in.failed()) return;
      (void)in.take_left_out();  // the member keeps its default
      break;
    }
  }
}

/// The root of a document of at most `most` bytes.
template <class T>
Result<T, JsonError> parse(std::string_view json, size_t most);

namespace detail {
/// Parses and hands the root to `read`; the error, if there is one.
std::optional<JsonError> parse_document(std::string_view json, size_t most, JsonReader& in,
                                        void (*read)(JsonReader&, JsonValue, void*), void* out);
}  // namespace detail

template <class T>
Result<T, JsonError> parse(std::string_view json, size_t most) {
  T out{};
  JsonReader in;
  const auto read_root = [](JsonReader& reader, JsonValue root, void* to) {
    read(reader, root, *static_cast<T*>(to));
  };
  auto error = detail::parse_document(json, most, in, read_root, &out);
  if (error) return Fail{std::move(*error)};
  return out;
}

}  // namespace sallyport::tailcfg
