// SPDX-License-Identifier: BSD-3-Clause
// What is not taken, and where it says so.
#include <gtest/gtest.h>

#include "agent/wire/tailcfg/map_request.h"
#include "agent/wire/tailcfg/map_response.h"
#include "agent/wire/tailcfg/registration.h"
#include "agent/wire/tailcfg/rfc3339.h"
#include "tests/unit/wire_tailcfg/vector.h"

namespace sallyport::tailcfg {
namespace {

std::string refusal(const std::string& json) {
  const auto parsed = parse_map_response(json);
  return parsed ? "" : parsed.error().text();
}
std::string repeated(const std::string& one, size_t times, const std::string& between = ",") {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += (i == 0 ? "" : between) + one;
  return out;
}

TEST(refusal, names_the_place) {
  const struct {
    std::string json;
    std::string error;
  } rows[] = {
      {R"([])", "$: is no object"},
      {R"({"Node":[]})", "$.Node: is no object"},
      {R"({"Peers":{}})", "$.Peers: is no list"},
      {R"({"Peers":[{},{"ID":"x"}]})", "$.Peers[1].ID: is no number"},
      {R"({"Node":{"ID":-1}})", "$.Node.ID: is no whole number from 0 to 9007199254740991"},
      {R"({"Node":{"ID":9007199254740992}})",
       "$.Node.ID: is no whole number from 0 to 9007199254740991"},
      {R"({"Node":{"ID":1.5}})", "$.Node.ID: is no whole number from 0 to 9007199254740991"},
      {R"({"Node":{"HomeDERP":65536}})", "$.Node.HomeDERP: is no whole number from 0 to 65535"},
      {R"({"Node":{"Key":""}})", "$.Node.Key: \"\" is no node key"},
      {R"({"Node":{"Key":"mkey:00"}})", "$.Node.Key: \"mkey:00\" is no node key"},
      {R"({"Node":{"Addresses":["100.64.0.1/33"]}})",
       "$.Node.Addresses[0]: \"100.64.0.1/33\" is no prefix"},
      {R"({"Node":{"KeyExpiry":"yesterday"}})", "$.Node.KeyExpiry: \"yesterday\" is no time"},
      {R"({"Node":{"ID":1,"ID":2}})", "$.Node.ID: is there twice"},
      {R"({"OnlineChange":{"1":true,"1":false}})", "$.OnlineChange.1: is there twice"},
      {R"({"OnlineChange":{"x":true}})", "$.OnlineChange.x: is no key for this object"},
      {R"({"OnlineChange":{"1":1}})", "$.OnlineChange.1: is no boolean"},
      {R"({"PacketFilter":[{"DstPorts":[{"IP":"*","Ports":{"First":0,"Last":70000}}]}]})",
       "$.PacketFilter[0].DstPorts[0].Ports.Last: is no whole number from 0 to 65535"},
      {R"({"PingRequest":{"Payload":"!"}})", "$.PingRequest.Payload: is no base64"},
      {R"({"\u001b[31m":{},"DERPMap":{"Regions":{"\u001b[31m":{}}}})",
       "$.DERPMap.Regions.\\x1b[31m: is no key for this object"},
      {"{\"Domain\":\"ab\xff\"}", "$: no UTF-8 at byte 13"},
      {"{\"Domain\":\"\xed\xa0\x80\"}", "$: no UTF-8 at byte 11"},
      {repeated("[", 100, "") + repeated("]", 100, ""), "$: is nested deeper than 32"},
      {R"({"Peers":[)" + repeated(R"({"CapMap":{"x":[)", 1, "") + repeated("[", 40, "") +
           repeated("]", 40, "") + "]}}]}",
       "$: is nested deeper than 32"},
  };
  for (const auto& row : rows) EXPECT_EQ(refusal(row.json), row.error) << row.json;
}

TEST(refusal, of_what_is_no_json) {
  for (const char* json : {"", "{", "{\"Domain\":}", "nul", "{\"Domain\":\"a\"}x", "{'a':1}",
                           "{\"Domain\":\"\\ud800\"}", "{\"Seq\":01}"}) {
    EXPECT_EQ(refusal(json).substr(0, 14), "$: is no JSON:") << json;
  }
  const std::string whole = vector_text("map_full");
  const size_t end = whole.find_last_of('}');
  for (size_t length = 0; length < end; length += 7) {
    EXPECT_NE(refusal(whole.substr(0, length)), "") << length;
  }
}

TEST(refusal, of_too_much) {
  EXPECT_EQ(refusal("{\"Domain\":\"" + std::string(4097, 'a') + "\"}"),
            "$.Domain: is longer than 4096 bytes");
  EXPECT_EQ(refusal("{\"PeersRemoved\":[" + repeated("1", 16385) + "]}"),
            "$.PeersRemoved[16384]: has more members than 16384");
  EXPECT_EQ(refusal("{\"Peers\":[" + repeated("{}", 16385) + "]}"),
            "$.Peers[16384]: has more members than 16384");
  EXPECT_EQ(refusal(std::string(kMaxMapResponse + 1, ' ')), "$: is longer than 33554432 bytes");
  const auto body = parse_register_response(std::string(kMaxBody + 1, ' '));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().text(), "$: is longer than 1048576 bytes");
}

TEST(refusal, unknown_members_are_no_reason) {
  const auto parsed = parse_map_response(
      R"({"NewThing":{"a":[1,{"b":null}]},"Domain":"d","NewThing":1,"domain":"other case"})");
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->domain, "d");
}

// One member of the tailnet must not be able to take the netmap from all others.
TEST(refusal, what_a_peer_said_of_itself_is_left_out_instead) {
  const std::string endpoints = repeated("\"192.0.2.1:1\"", 100);
  const std::string json =
      R"({"Peers":[{"ID":5,"Endpoints":["[fe80::1%eth0]:41641","192.0.2.7:41641","[::ffff:1.2.3.4]:5",)" +
      endpoints + R"(],"Hostinfo":{"OS":"linux","Hostname":")" + std::string(5000, 'h') +
      R"(","RoutableIPs":["::ffff:10.0.0.0/104","10.2.0.0/16"],"Services":[{"Proto":")" +
      std::string(5000, 'p') + R"(","Port":5}]}}]})";
  const auto parsed = parse_map_response(json);
  ASSERT_TRUE(parsed) << parsed.error().text();
  const NetmapNode& peer = parsed->peers.at(0);
  EXPECT_EQ(peer.endpoints.size(), 64U);
  EXPECT_EQ(peer.endpoints[0].text(), "192.0.2.7:41641");
  EXPECT_EQ(peer.hostinfo->hostname, "");
  EXPECT_EQ(peer.hostinfo->os, "linux");
  ASSERT_EQ(peer.hostinfo->routable_ips.size(), 1U);
  EXPECT_EQ(peer.hostinfo->routable_ips[0].text(), "10.2.0.0/16");
  EXPECT_EQ(peer.hostinfo->services.at(0).port, 5);
}

TEST(refusal, regions_that_are_gone_or_have_no_number_are_left_out) {
  const auto parsed = parse_derp_map(
      R"({"Regions":{"0":{"RegionID":0,"RegionCode":"z"},"5":null,"7":{"RegionCode":"s"}}})");
  ASSERT_TRUE(parsed) << parsed.error().text();
  ASSERT_EQ(parsed->regions->size(), 1U);
  EXPECT_EQ(parsed->regions->at(7).id, 7);
}

TEST(refusal, endpoint_types_of_later_days_are_unknown_ones) {
  const auto parsed = parse_map_request(R"({"EndpointTypes":[2,77]})");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->endpoint_types, (std::vector{EndpointType::kStun, EndpointType::kUnknown}));
}

TEST(writing, mends_what_is_no_utf8) {
  MapResponse response;
  response.domain = "a\xff";
  const auto back = parse_map_response(write_map_response(response));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->domain, "a\xef\xbf\xbd");
}

TEST(times, as_rfc_3339_has_them) {
  const struct {
    const char* text;
    const char* utc;  // empty: no time
  } rows[] = {
      {"2026-11-24T11:42:04Z", "2026-11-24T11:42:04Z"},
      {"2026-11-24T11:42:04.120Z", "2026-11-24T11:42:04.12Z"},
      {"2026-11-24T00:42:04.000000001+01:00", "2026-11-23T23:42:04.000000001Z"},
      {"2026-11-24T23:30:00-02:15", "2026-11-25T01:45:00Z"},
      {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"},
      {"9999-12-31T23:59:59Z", "2116-02-20T23:53:38.427387903Z"},  // the last that we take
      {"1013-01-02T03:04:05Z", "1823-11-12T00:06:21.572612096Z"},  // the first
      {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
      {"2023-02-29T00:00:00Z", ""},
      {"2026-11-24 11:42:04Z", ""},
      {"2026-11-24T11:42:04", ""},
      {"2026-11-24T24:00:00Z", ""},
      {"2026-11-24T11:42:04.Z", ""},
      {"2026-11-24T11:42:04+1:00", ""},
      {"2026-11-24T11:42:04Zx", ""},
      {"", ""},
  };
  for (const auto& row : rows) {
    const auto parsed = parse_rfc3339(row.text);
    EXPECT_EQ(parsed ? write_rfc3339(parsed->time) : "", row.utc) << row.text;
  }
  EXPECT_TRUE(parse_rfc3339("0001-01-01T00:00:00Z")->is_zero);
  EXPECT_FALSE(parse_rfc3339("0001-01-01T00:00:01Z")->is_zero);
}

}  // namespace
}  // namespace sallyport::tailcfg
