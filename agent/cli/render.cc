// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/render.h"

#include <fmt/format.h>

#include "agent/base/text.h"
#include "agent/cli/terminal.h"

namespace sallyport::cli {
namespace {

// Absent and null are "-": an answer of another version still renders.
std::string text_of(const Json& object, const char* member) {
  const auto at = object.find(member);
  if (at == object.end() || at->is_null()) return "-";
  if (at->is_string())
    return at->get<std::string>().empty() ? "-" : printable(at->get<std::string>());
  return at->dump();
}
uint64_t number(const Json& object, const char* member) {
  const auto at = object.find(member);
  return at != object.end() && at->is_number() ? at->get<uint64_t>() : 0;
}
double seconds(const Json& object, const char* member) {
  const auto at = object.find(member);
  return at != object.end() && at->is_number() ? at->get<double>() : -1;
}
const Json& list(const Json& object, const char* member) {
  static const Json kNone = Json::array();
  const auto at = object.find(member);
  return at != object.end() && at->is_array() ? *at : kNone;
}

std::string joined(const Json& array) {
  std::string out;
  for (const Json& item : array) {
    if (!out.empty()) out += ", ";
    out += printable(item.get<std::string>());
  }
  return out.empty() ? "-" : out;
}

std::string path_of(const Json& peer) {
  const auto at = peer.find("path");
  if (at == peer.end() || !at->is_object()) return "-";
  std::string kind = text_of(*at, "kind");
  if (kind == "direct") return "direct " + text_of(*at, "endpoint");
  if (kind == "derp") return "relay " + text_of(*at, "region");
  return kind;
}

std::string finding_text(const Json& finding, bool colour) {
  std::string out = paint(Colour::kWarning, "! ", colour) + text_of(finding, "text") + "\n";
  const std::string fix = text_of(finding, "fix");
  if (fix != "-") out += "    " + paint(Colour::kBold, fix, colour) + "\n";
  return out;
}

std::string from_to(const Json& entry) {
  return text_of(entry, "src") + " → " + text_of(entry, "dst");
}

std::string place(const Json& rule) {
  const std::string file = text_of(rule, "file");
  if (file == "-") return "built in";  // nobody wrote it: what the gateway itself needs
  return file + ":" + text_of(rule, "line");
}

}  // namespace

std::string render_peers(const Json& answer, bool colour) {
  Table table({"PEER", "ADDRESSES", "PATH", "LAST HANDSHAKE", "RECEIVED", "SENT"});
  for (const Json& peer : list(answer, "peers")) {
    const double handshake = seconds(peer, "last_handshake_s");
    table.add({text_of(peer, "name"), joined(list(peer, "ips")), path_of(peer),
               handshake < 0 ? "never" : duration_text(handshake) + " ago",
               bytes_text(number(peer, "rx_bytes")), bytes_text(number(peer, "tx_bytes"))});
  }
  if (table.empty()) return "No peers. Add one with: sallyport peer add NAME --qr\n";
  return table.text(colour);
}

std::string render_status(const Json& answer, bool colour) {
  const std::string state = text_of(answer, "state");
  const Json& peers = list(answer, "peers");
  const Json& health = list(answer, "health");
  size_t online = 0;
  for (const Json& peer : peers) online += peer.value("online", false) ? 1 : 0;
  const Json self = answer.value("self", Json::object());
  const Json policy = answer.value("policy", Json::object());

  std::string out;
  if (state == "Running" && health.empty()) {
    out +=
        paint(Colour::kGood, "Healthy", colour) +
        fmt::format(": {} serves {} of {} peers.\n", text_of(self, "name"), online, peers.size());
  } else if (state == "Running") {
    out += paint(Colour::kWarning, "Running", colour) +
           fmt::format(", but {} thing{} need{} your attention.\n", health.size(),
                       health.size() == 1 ? "" : "s", health.size() == 1 ? "s" : "");
  } else {
    out += paint(Colour::kBad, state, colour) + ": nothing is forwarded." +
           (state == "Stopped" ? " sallyport reload brings it up.\n" : "\n");
  }
  for (const Json& finding : health) out += finding_text(finding, colour);
  const Json plane = answer.value("dataplane", Json::object());
  out += fmt::format("\nself    {} ({})\npolicy  {}, generation {}, from {}\nkernel  {}, {}\n\n",
                     text_of(self, "name"), joined(list(self, "ips")), text_of(policy, "version"),
                     text_of(policy, "generation"), text_of(policy, "source"),
                     text_of(plane, "kernel"), text_of(plane, "hook"));
  return out + render_peers(answer, colour);
}

std::string render_rules(const Json& answer, bool colour) {
  Table table({"RULE", "WHERE", "PACKETS", "BYTES", "LAST HIT", "STATE"});
  for (const Json& rule : list(answer, "rules")) {
    const double last = seconds(rule, "last_hit_s");
    std::string state = rule.value("active", false) ? "active" : "closed now";
    if (text_of(rule, "not_after") != "-") state += ", until " + text_of(rule, "not_after");
    table.add({text_of(rule, "id"), place(rule), std::to_string(number(rule, "hits")),
               bytes_text(number(rule, "bytes")), last < 0 ? "never" : duration_text(last) + " ago",
               state});
  }
  if (table.empty()) return "No rules: everything is denied.\n";
  return table.text(colour);
}

std::string render_drop(const Json& drop, bool colour) {
  return fmt::format("{}  {}  {} {} {}  peer {}  x{}\n", text_of(drop, "t"),
                     paint(Colour::kBad, text_of(drop, "reason"), colour), text_of(drop, "proto"),
                     from_to(drop),
                     text_of(drop, "rule") == "-" ? "" : "rule " + text_of(drop, "rule"),
                     text_of(drop, "peer"), number(drop, "count"));
}

std::string render_drops(const Json& answer, bool colour) {
  Table table({"LAST", "REASON", "PEER", "PROTO", "PACKET", "COUNT", "RULE"});
  for (const Json& drop : list(answer, "drops")) {
    table.add({text_of(drop, "t"), text_of(drop, "reason"), text_of(drop, "peer"),
               text_of(drop, "proto"), from_to(drop), std::to_string(number(drop, "count")),
               text_of(drop, "rule")});
  }
  if (table.empty()) return "Nothing was dropped lately.\n";
  return table.text(colour) + "\nAsk why with: sallyport explain SRC DST:PORT PROTO\n";
}

std::string render_flows(const Json& answer, bool colour) {
  Table table({"PROTO", "FLOW", "PEER", "RULE", "STATE", "PACKETS", "BYTES", "AGE"});
  for (const Json& flow : list(answer, "flows")) {
    table.add({text_of(flow, "proto"), from_to(flow), text_of(flow, "peer"), text_of(flow, "rule"),
               text_of(flow, "state"), std::to_string(number(flow, "packets")),
               bytes_text(number(flow, "bytes")), duration_text(seconds(flow, "age_s"))});
  }
  if (table.empty()) return "No flows.\n";
  return table.text(colour);
}

std::string render_explanation(const Json& answer, bool colour) {
  const bool allowed = text_of(answer, "verdict") == "allow";
  const Json from = answer.value("from", Json::object());
  const Json to = answer.value("to", Json::object());
  std::string out =
      paint(allowed ? Colour::kGood : Colour::kBad, allowed ? "Allowed" : "Denied", colour);
  out += fmt::format(": {} ({}).\n", text_of(answer, "text"), text_of(answer, "reason"));
  const auto rule = answer.find("rule");
  if (rule != answer.end() && rule->is_object()) {
    out += fmt::format("rule    {} at {}\n", text_of(*rule, "id"), place(*rule));
  }
  out += fmt::format("from    {} (peer {}, user {})\nto      {} (lan {})\npolicy  {}\n",
                     text_of(from, "ip"), text_of(from, "peer"), text_of(from, "user"),
                     text_of(to, "ip"), text_of(to, "lan"), text_of(answer, "policy_version"));
  return out;
}

std::string render_plan(const Json& answer, bool colour) {
  Table table({"OPERATION", "OBJECT", "DETAIL"});
  for (const Json& operation : list(answer, "operations")) {
    table.add(
        {text_of(operation, "op"), text_of(operation, "object"), text_of(operation, "detail")});
  }
  if (table.empty()) return "Nothing to do: the kernel is as the configuration wants it.\n";
  return table.text(colour);
}

std::string render_findings(const Json& answer, bool colour) {
  std::string out;
  for (const Json& finding : list(answer, "findings")) {
    const bool fixed = finding.value("fixed", false);
    if (text_of(finding, "severity") == "info") {
      out += paint(Colour::kFaint, "i ", colour) + text_of(finding, "text") + "\n";
    } else if (fixed) {
      out += paint(Colour::kGood, "mended: ", colour) + text_of(finding, "text") + "\n";
    } else {
      out += finding_text(finding, colour);
    }
  }
  return out.empty() ? paint(Colour::kGood, "Nothing is wrong.", colour) + "\n" : out;
}

}  // namespace sallyport::cli
