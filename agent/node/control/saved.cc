// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/saved.h"

#include <nlohmann/json.hpp>

#include "agent/node/netmap_state.h"
#include "agent/wire/tailcfg/rfc3339.h"

namespace sallyport::control {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;

std::string text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

/// An object of our version, or nothing.
std::optional<Json> parse_object(std::string_view text) {
  Json object = Json::parse(text, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto version = object.find("v");
  if (version == object.end() || *version != kVersion) return std::nullopt;
  return object;
}

}  // namespace

std::string write_saved_keys(const SavedKeys& saved) {
  Json object = {{"v", kVersion},
                 {"url", saved.url},
                 {"machine_key", reveal_private_key_text(saved.identity.machine)},
                 {"node_key", reveal_private_key_text(saved.identity.node)},
                 {"registered", saved.identity.registered}};
  if (saved.identity.next) object["next_key"] = reveal_private_key_text(*saved.identity.next);
  return object.dump(2) + "\n";
}

std::optional<SavedKeys> parse_saved_keys(std::string_view text) {
  const auto object = parse_object(text);
  if (!object) return std::nullopt;
  const auto machine = parse_private_key(text_at(*object, "machine_key"));
  const auto node = parse_private_key(text_at(*object, "node_key"));
  if (!machine || !node) return std::nullopt;
  SavedKeys saved{.url = text_at(*object, "url"),
                  .identity = {.machine = *machine, .node = *node, .registered = {}, .next = {}}};
  saved.identity.registered = object->contains("registered") && (*object)["registered"] == true;
  if (const std::string next = text_at(*object, "next_key"); !next.empty()) {
    saved.identity.next = parse_private_key(next);
    if (!saved.identity.next) return std::nullopt;
  }
  return saved;
}

// A line that says what it is, then the netmap as one frame of a map stream.
std::string write_saved_netmap(const SavedNetmap& saved) {
  const Json head = {{"v", kVersion},
                     {"url", saved.url},
                     {"node_key", node_key_text(saved.node_key)},
                     {"confirmed", tailcfg::write_rfc3339(saved.confirmed)}};
  return head.dump() + "\n" + tailcfg::write_map_response(whole_frame(saved.netmap)) + "\n";
}

std::optional<SavedNetmap> parse_saved_netmap(std::string_view text) {
  const size_t line = text.find('\n');
  if (line == std::string_view::npos) return std::nullopt;
  const auto head = parse_object(text.substr(0, line));
  if (!head) return std::nullopt;
  const auto node_key = parse_node_key(text_at(*head, "node_key"));
  const auto confirmed = tailcfg::parse_rfc3339(text_at(*head, "confirmed"));
  if (!node_key || !confirmed) return std::nullopt;
  auto frame = tailcfg::parse_map_response(text.substr(line + 1));
  if (!frame || !frame->node) return std::nullopt;
  NetmapState state;
  if (!state.apply(std::move(frame).value(), confirmed->time)) return std::nullopt;
  return SavedNetmap{text_at(*head, "url"), *node_key, confirmed->time, state.netmap()};
}

}  // namespace sallyport::control
