// SPDX-License-Identifier: BSD-3-Clause
// Answers of the agent in, text for people out.
#include "agent/cli/render.h"

#include <gtest/gtest.h>

namespace sallyport::cli {
namespace {

const Json kPeer = Json::parse(R"({"name":"laptop","ips":["100.64.0.2","fd77::2"],"online":true,
  "path":{"kind":"direct","endpoint":"192.0.2.2:5000"},"rx_bytes":2048,"tx_bytes":10,
  "last_handshake_s":75.2})");

Json status_of(const std::string& state, const Json& health) {
  return {{"v", 1},
          {"state", state},
          {"self", {{"name", "gw"}, {"ips", {"100.64.0.1"}}}},
          {"policy", {{"version", "abc"}, {"generation", 7}, {"source", "file"}}},
          {"peers", Json::array({kPeer})},
          {"dataplane", {{"kernel", "6.12"}, {"hook", "tcx"}}},
          {"health", health}};
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

TEST(cli_render, status_begins_with_one_sentence_of_health) {
  const Json finding{{"id", "x"}, {"text", "port 51820 is taken"}, {"fix", "set node.wg_port"}};
  EXPECT_EQ(first_line(render_status(status_of("Running", Json::array()), false)),
            "Healthy: gw serves 1 of 1 peers.");
  const std::string one = render_status(status_of("Running", Json::array({finding})), false);
  EXPECT_EQ(one.rfind("Running, but 1 thing needs your attention.\n! port 51820 is taken\n"
                      "    set node.wg_port\n",
                      0),
            0U)
      << one;
  EXPECT_EQ(first_line(render_status(status_of("Running", Json::array({finding, finding})), false)),
            "Running, but 2 things need your attention.");
  EXPECT_EQ(first_line(render_status(status_of("Stopped", Json::array()), false)),
            "Stopped: nothing is forwarded. sallyport reload brings it up.");
  EXPECT_EQ(first_line(render_status(status_of("Starting", Json::array()), false)),
            "Starting: nothing is forwarded.");
}

TEST(cli_render, peers_are_aligned) {
  EXPECT_EQ(render_peers({{"peers", Json::array({kPeer})}}, false),
            "PEER    ADDRESSES            PATH                   LAST HANDSHAKE  RECEIVED  SENT\n"
            "laptop  100.64.0.2, fd77::2  direct 192.0.2.2:5000  1m15s ago       2.0 KiB   10 B\n");
}

TEST(cli_render, nothing_is_said_in_words) {
  struct Row {
    std::string (*render)(const Json&, bool);
    const char* begins;
  };
  const Row rows[] = {{render_peers, "No peers."},     {render_rules, "No rules:"},
                      {render_drops, "Nothing was"},   {render_flows, "No flows."},
                      {render_plan, "Nothing to do:"}, {render_findings, "Nothing is wrong."}};
  for (const Row& row : rows) EXPECT_EQ(row.render(Json::object(), false).rfind(row.begins, 0), 0U);
}

TEST(cli_render, an_answer_with_nulls_and_gaps_still_renders) {
  const Json gaps = Json::parse(R"({"peers":[{"name":null,"path":null}],"drops":[{}],"flows":[{}],
    "rules":[{}],"operations":[{}],"findings":[{}],"rule":null})");
  for (const auto render : {render_status, render_peers, render_rules, render_drops, render_flows,
                            render_plan, render_findings, render_explanation}) {
    EXPECT_NE(render(gaps, false), "");
  }
}

TEST(cli_render, names_cannot_steer_the_terminal) {
  Json peer = kPeer;
  peer["name"] = "a\x1b[2J";
  EXPECT_EQ(render_peers({{"peers", Json::array({peer})}}, false).find('\x1b'), std::string::npos);
}

TEST(cli_render, explanation_names_rule_and_reason) {
  const Json denied =
      Json::parse(R"({"verdict":"deny","reason":"no_rule","text":"no rule allows it",
    "rule":null,"policy_version":"abc","from":{"ip":"100.64.0.2","peer":"laptop","user":null},
    "to":{"ip":"10.0.0.2","lan":"office"}})");
  EXPECT_EQ(first_line(render_explanation(denied, false)), "Denied: no rule allows it (no_rule).");
  Json allowed = denied;
  allowed["verdict"] = "allow";
  allowed["reason"] = "rule";
  allowed["rule"] = {{"id", "web"}, {"file", "/etc/sallyport/config.yaml"}, {"line", 12}};
  const std::string text = render_explanation(allowed, false);
  EXPECT_EQ(text.rfind("Allowed: ", 0), 0U);
  EXPECT_NE(text.find("rule    web at /etc/sallyport/config.yaml:12\n"), std::string::npos) << text;
  EXPECT_NE(render_explanation(denied, true).find("\x1b[31mDenied\x1b[0m"), std::string::npos);
}

TEST(cli_render, findings_by_severity) {
  const Json findings = Json::parse(R"({"findings":[
    {"severity":"info","text":"a"},{"severity":"warn","text":"b","fix":"do b"},
    {"severity":"error","text":"c","fixed":true}]})");
  EXPECT_EQ(render_findings(findings, false), "i a\n! b\n    do b\nmended: c\n");
}

TEST(cli_render, a_rule_has_its_place) {
  const Json rules = Json::parse(R"({"rules":[
    {"id":"web","file":"/c.yaml","line":4,"hits":3,"bytes":2048,"last_hit_s":5,"active":true},
    {"id":"own","file":null,"line":null,"hits":0,"bytes":0,"last_hit_s":null,"active":false,
     "not_after":"2026-01-01T00:00:00Z"}]})");
  EXPECT_EQ(
      render_rules(rules, false),
      "RULE  WHERE      PACKETS  BYTES    LAST HIT  STATE\n"
      "web   /c.yaml:4  3        2.0 KiB  5s ago    active\n"
      "own   built in   0        0 B      never     closed now, until 2026-01-01T00:00:00Z\n");
}

TEST(cli_render, a_drop_is_one_line) {
  const Json drop = Json::parse(R"({"t":"2026-01-01T00:00:00.000Z","reason":"no_rule","rule":null,
    "peer":"laptop","proto":"tcp","src":"100.64.0.2:1","dst":"10.0.0.2:22","count":3})");
  const std::string line = render_drop(drop, false);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  for (const char* part : {"no_rule", "100.64.0.2:1 → 10.0.0.2:22", "peer laptop", "x3"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace sallyport::cli
