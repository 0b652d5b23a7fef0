// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/tailcfg/json_reader.h"

#include <sodium.h>

#include <charconv>
#include <cmath>

#include "agent/base/text.h"
#include "agent/wire/tailcfg/rfc3339.h"

namespace sallyport::tailcfg {
namespace {

/// A name in the path is a stranger's: fit to be shown, and short.
std::string step_text(std::string_view name) {
  constexpr size_t kMost = 60;
  return printable(name.substr(0, kMost)) + (name.size() > kMost ? "..." : "");
}

template <class T, class Parse>
void read_text(JsonReader& in, JsonValue value, const char* kind, T& out, Parse parse) {
  std::string_view text;
  if (!in.string(value, text)) return;
  auto parsed = parse(text);
  if (!parsed) return in.leave_out(quote(text) + " is no " + kind);
  out = std::move(*parsed);
}

/// Where the first byte is that is no UTF-8.
size_t bad_utf8_at(std::string_view json) {
  size_t at = 0;
  while (at < json.size()) {
    const size_t length = utf8_length(json.substr(at));
    if (length == 0) break;
    at += length;
  }
  return at;
}

}  // namespace

void JsonReader::fail(std::string what) {
  if (error_) return;
  std::string path = "$";
  for (const Part& part : path_) {
    path += part.name.data() == nullptr ? "[" + std::to_string(part.index) + "]"
                                        : "." + step_text(part.name);
  }
  error_ = JsonError{std::move(path), std::move(what)};
}

bool JsonReader::string(JsonValue value, std::string_view& out, size_t most) {
  if (value.get(out) != simdjson::SUCCESS) {
    fail_type("string");
    return false;
  }
  if (out.size() <= most) return true;
  leave_out("is longer than " + std::to_string(most) + " bytes");
  return false;
}

void read(JsonReader& in, JsonValue value, bool& out) {
  if (value.get(out) != simdjson::SUCCESS) in.fail_type("boolean");
}

void read(JsonReader& in, JsonValue value, double& out) {
  if (value.get(out) != simdjson::SUCCESS || !std::isfinite(out)) in.fail_type("number");
}

void read_number(JsonReader& in, JsonValue value, int64_t least, int64_t most, int64_t& out) {
  // A number with a fraction or beyond 64 bits is of another type here.
  if (!value.is_number()) return in.fail_type("number");
  if (value.get(out) != simdjson::SUCCESS || out < least || out > most) {
    in.fail("is no whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
}

void read(JsonReader& in, JsonValue value, std::string& out) {
  std::string_view text;
  if (in.string(value, text)) out = text;
}

void read(JsonReader& in, JsonValue value, Bytes& out) {
  std::string_view text;
  if (!in.string(value, text, kMaxBinary / 3 * 4)) return;
  out.resize(text.size() / 4 * 3 + 3);
  size_t length = 0;
  if (sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &length, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0) {
    return in.fail_type("base64");
  }
  out.resize(length);
}

void read(JsonReader& in, JsonValue value, RawJson& out) {
  out.text = simdjson::minify(value);
  if (out.text.size() <= kMaxRawJson) return;
  out.text.clear();
  in.leave_out("is longer than " + std::to_string(kMaxRawJson) + " bytes");
}

void read(JsonReader& in, JsonValue value, IpAddress& out) {
  read_text(in, value, "address", out, IpAddress::parse);
}
void read(JsonReader& in, JsonValue value, Prefix& out) {
  read_text(in, value, "prefix", out, Prefix::parse);
}
void read(JsonReader& in, JsonValue value, Endpoint& out) {
  read_text(in, value, "endpoint", out, Endpoint::parse);
}
void read(JsonReader& in, JsonValue value, NodeKey& out) {
  read_text(in, value, "node key", out, parse_node_key);
}
void read(JsonReader& in, JsonValue value, MachineKey& out) {
  read_text(in, value, "machine key", out, MachineKey::parse);
}
void read(JsonReader& in, JsonValue value, DiscoKey& out) {
  read_text(in, value, "disco key", out, DiscoKey::parse);
}
void read(JsonReader& in, JsonValue value, ChallengeKey& out) {
  read_text(in, value, "challenge key", out, ChallengeKey::parse);
}
void read(JsonReader& in, JsonValue value, LockKey& out) {
  read_text(in, value, "tailnet lock key", out, LockKey::parse);
}

void read(JsonReader& in, JsonValue value, NodeId& out) {
  int64_t number = 0;
  read_number(in, value, 0, kMaxId, number);
  out = NodeId{number};
}
void read(JsonReader& in, JsonValue value, UserId& out) {
  int64_t number = 0;
  read_number(in, value, 0, kMaxId, number);
  out = UserId{number};
}

void read(JsonReader& in, JsonValue value, std::optional<WallTime>& out) {
  std::string_view text;
  if (!in.string(value, text)) return;
  const auto time = parse_rfc3339(text);
  if (!time) return in.fail(quote(text) + " is no time");
  out = time->is_zero ? std::nullopt : std::optional(time->time);
}

namespace detail {

std::optional<int64_t> parse_key(std::string_view key) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc{} || end != key.data() + key.size() || number < 0 || number > kMaxId)
    return {};
  return number;
}

std::optional<JsonError> parse_document(std::string_view json, size_t most, JsonReader& in,
                                        void (*read)(JsonReader&, JsonValue, void*), void* out) {
  if (json.size() > most) {
    in.fail("is longer than " + std::to_string(most) + " bytes");
    return in.error();
  }
  simdjson::dom::parser parser(most);
  JsonValue root;
  auto code = parser.allocate(json.size(), kMaxDepth);
  if (code == simdjson::SUCCESS) code = parser.parse(json.data(), json.size()).get(root);
  if (code == simdjson::SUCCESS) {
    read(in, root, out);
  } else if (code == simdjson::UTF8_ERROR) {
    in.fail("no UTF-8 at byte " + std::to_string(bad_utf8_at(json)));
  } else if (code == simdjson::DEPTH_ERROR) {
    in.fail("is nested deeper than " + std::to_string(kMaxDepth));
  } else {
    in.fail(std::string("is no JSON: ") + simdjson::error_message(code));
  }
  return in.error();
}

}  // namespace detail
}  // namespace sallyport::tailcfg
