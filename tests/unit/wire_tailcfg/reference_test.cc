// SPDX-License-Identifier: BSD-3-Clause
// What the reference writes is read, written again, and is the same.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "agent/wire/tailcfg/map_request.h"
#include "agent/wire/tailcfg/map_response.h"
#include "agent/wire/tailcfg/registration.h"
#include "agent/wire/tailcfg/server_key.h"
#include "tests/unit/wire_tailcfg/vector.h"

namespace sallyport::tailcfg {
namespace {

using Again = std::function<std::string(const std::string&)>;

template <class T>
Again again(Result<T, JsonError> (*parse)(std::string_view), std::string (*write)(const T&)) {
  return [parse, write](const std::string& text) {
    const auto value = parse(text);
    if (!value) return value.error().text();
    const std::string written = write(*value);
    const auto second = parse(written);
    EXPECT_TRUE(second && *second == *value) << "what we wrote reads differently";
    return written;
  };
}

struct Row {
  const char* vector;
  Again again;
};

TEST(reference, is_read_and_written_alike) {
  const Row rows[] = {
      {"map_full", again(parse_map_response, write_map_response)},
      {"map_delta", again(parse_map_response, write_map_response)},
      {"map_keepalive", again(parse_map_response, write_map_response)},
      {"map_request", again(parse_map_request, write_map_request)},
      {"register_request", again(parse_register_request, write_register_request)},
      {"register_request_plain", again(parse_register_request, write_register_request)},
      {"register_response", again(parse_register_response, write_register_response)},
      {"server_keys", again(parse_server_keys, write_server_keys)},
      {"early_noise", again(parse_early_noise, write_early_noise)},
      {"ping_response", again(parse_ping_response, write_ping_response)},
  };
  // The reference writes these also when there is nothing in them.
  const auto without_empty = [](nlohmann::json json) {
    if (!json.is_object()) return json;
    for (const char* name : {"Followup", "NodeKeySignature"}) {
      if (json.contains(name) && (json[name].is_null() || json[name] == "")) json.erase(name);
    }
    return json;
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.vector);
    const std::string text = vector_text(row.vector);
    const auto theirs = nlohmann::json::parse(text, nullptr, false);
    ASSERT_FALSE(theirs.is_discarded());
    const std::string written = row.again(text);
    const auto ours = nlohmann::json::parse(written, nullptr, false);
    ASSERT_FALSE(ours.is_discarded()) << written;
    EXPECT_EQ(nlohmann::json::diff(without_empty(theirs), without_empty(ours)).dump(1), "[]");
  }
}

TEST(reference, absent_null_and_empty_are_three_things_where_it_matters) {
  const auto full = parse_map_response(vector_text("map_full"));
  ASSERT_TRUE(full) << full.error().text();
  ASSERT_EQ(full->peers.size(), 4U);
  EXPECT_EQ(full->peers[0].allowed_ips->size(), 5U);
  EXPECT_EQ(full->peers[1].allowed_ips, std::vector<Prefix>{});  // []
  EXPECT_EQ(full->peers[2].allowed_ips, std::nullopt);           // absent
  EXPECT_EQ(full->peers_changed.size(), 0U);
  EXPECT_FALSE(full->packet_filters);
  EXPECT_EQ(full->packet_filter->size(), 3U);
  EXPECT_EQ(full->dns_config->routes.at("tail.example.").size(), 0U);

  const auto delta = parse_map_response(vector_text("map_delta"));
  ASSERT_TRUE(delta) << delta.error().text();
  EXPECT_FALSE(delta->packet_filter);
  const auto& filters = *delta->packet_filters;
  EXPECT_EQ(filters.at("*"), std::nullopt);  // null
  EXPECT_EQ(filters.at("gone"), std::nullopt);
  EXPECT_EQ(filters.at("base"), std::vector<FilterRule>{});  // []
  EXPECT_EQ(filters.at("web")->size(), 1U);
  EXPECT_FALSE(filters.contains("other"));
  EXPECT_EQ(delta->display_messages->at("m"), std::nullopt);
  EXPECT_FALSE(delta->health);
  EXPECT_FALSE(delta->derp_map->regions);  // null: only the scores
  EXPECT_EQ(delta->derp_map->region_score->at(1), 2);
  const auto& patches = delta->peers_changed_patch;
  ASSERT_EQ(patches.size(), 2U);
  EXPECT_NE(patches[0].key_expiry.value(), std::nullopt);
  EXPECT_FALSE(patches[1].key_expiry.has_value());
  const auto forever = parse_map_response(
      R"({"PeersChangedPatch":[{"NodeID":2,"KeyExpiry":"0001-01-01T00:00:00Z"}]})");
  ASSERT_TRUE(forever && forever->peers_changed_patch.at(0).key_expiry.has_value());
  EXPECT_EQ(*forever->peers_changed_patch[0].key_expiry, std::nullopt);  // there, and never
  EXPECT_EQ(delta->peer_seen_change,
            (std::map<NodeId, bool>{{NodeId{2}, true}, {NodeId{4}, false}}));

  const auto legacy = parse_map_response(vector_text("map_legacy"));
  ASSERT_TRUE(legacy) << legacy.error().text();
  EXPECT_EQ(legacy->node->home_derp, 17);
  EXPECT_EQ(legacy->node->allowed_ips, std::nullopt);
  EXPECT_TRUE(legacy->packet_filter && legacy->packet_filter->empty());  // [] shuts the door
  EXPECT_TRUE(legacy->health && legacy->health->empty());
}

TEST(reference, a_plain_registration_has_no_expiry_and_a_logout_has_one_in_the_past) {
  const auto plain = parse_register_request(vector_text("register_request_plain"));
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->expiry);
  EXPECT_TRUE(plain->old_node_key.is_zero());
  const auto logout = parse_register_request(vector_text("register_request"));
  ASSERT_TRUE(logout);
  EXPECT_EQ(logout->expiry, WallTime{std::chrono::seconds(123)});
  EXPECT_NE(write_register_request(*plain).find("\"Expiry\":\"0001-01-01T00:00:00Z\""),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::tailcfg
