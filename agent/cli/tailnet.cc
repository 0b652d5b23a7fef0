// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/tailnet.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/base/text.h"
#include "agent/cli/peer_add.h"
#include "agent/cli/terminal.h"
#include "agent/options/scalar.h"

namespace sallyport::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// The flags of `up` and `set`. What was not given is not said.
struct Preferences {
  std::string login_server, auth_key, hostname, timeout;
  std::vector<std::string> routes;
  bool exit_node = false, accept_routes = false, snat = true, reset = false;
  CLI::Option* given_routes = nullptr;
  CLI::Option* given_exit = nullptr;
  CLI::Option* given_accept = nullptr;
  CLI::Option* given_snat = nullptr;

  void add_to(CLI::App& command) {
    command.add_option("--login-server", login_server, "URL of the control server");
    command.add_option("--auth-key", auth_key, "file:PATH of a key to log in with");
    command.add_option("--hostname", hostname, "what the tailnet calls this gateway");
    given_routes =
        command
            .add_option("--advertise-routes", routes,
                        "LANs offered to the tailnet, with commas between; \"\" for none")
            ->delimiter(',')
            ->expected(0, -1);
    given_exit =
        command.add_flag("--advertise-exit-node{true}", exit_node, "offer the way to the internet");
    given_accept =
        command.add_flag("--accept-routes{true}", accept_routes, "use the LANs that others offer");
    given_snat = command.add_flag("--snat-subnet-routes{true}", snat,
                                  "LANs see our address instead of the peer's (on)");
  }

  [[nodiscard]] Json flags() const {
    Json out = Json::object();
    if (!login_server.empty()) out["url"] = login_server;
    if (!auth_key.empty()) out["auth_key"] = absolute(auth_key);
    if (!hostname.empty()) out["hostname"] = hostname;
    if (given_routes->count() != 0) {
      Json list = Json::array();
      for (const std::string& route : routes) {
        if (!route.empty()) list.push_back(route);
      }
      out["advertise_routes"] = std::move(list);
    }
    if (given_exit->count() != 0) out["advertise_exit_node"] = exit_node;
    if (given_accept->count() != 0) out["accept_routes"] = accept_routes;
    if (given_snat->count() != 0) out["snat_subnet_routes"] = snat;
    return out;
  }

 private:
  /// The agent's folder is another one than ours.
  static std::string absolute(const std::string& secret) {
    constexpr std::string_view kFile = "file:";
    if (!secret.starts_with(kFile)) return secret;
    return std::string(kFile) +
           std::filesystem::absolute(secret.substr(kFile.size())).lexically_normal().string();
  }
};

bool on_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

void show_login(const Context& context, const std::string& url) {
  if (context.json) return;
  std::fputs(fmt::format("\nTo log in, open:\n\n  {}\n\n", printable(url)).c_str(), stderr);
  if (on_terminal()) print(qr_text(url));
}

/// Until the tailnet has taken us; by itself it goes on without us.
void wait_until_running(Context& context, std::optional<std::chrono::seconds> patience) {
  const auto began = Clock::now();
  std::string shown;
  bool said = false;
  for (;;) {
    const auto status = ask_once(context.run_dir, "status");
    // The agent starts anew when a tailnet is joined: it is not there for a moment.
    if (status) {
      const std::string state = status->value("state", "");
      const Json control = status->value("control", Json::object());
      const std::string url = control.contains("auth_url") && control["auth_url"].is_string()
                                  ? control["auth_url"]
                                  : "";
      if (state == "Running" && control.value("url", Json()).is_string()) {
        print(context.json ? status->dump() + "\n" : std::string("Running.\n"));
        return;
      }
      if (state == "NeedsApproval" && !said) {
        std::fputs("An admin has to approve this gateway at the control server.\n", stderr);
        said = true;
      }
      if (!url.empty() && url != shown) {
        show_login(context, url);
        shown = url;
      }
    }
    const auto waited = Clock::now() - began;
    if (waited > std::chrono::seconds(2) && shown.empty() && !said) {
      std::fputs("Waiting for the control server ...\n", stderr);
      said = true;
    }
    if (patience && waited > *patience) {
      return complain(context, {ExitCode::kTimedOut,
                                "the gateway is not in the tailnet yet",
                                {},
                                0,
                                0,
                                "it goes on trying: sallyport status"});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
}

void add_up(CLI::App& app, Context& context) {
  const auto words = std::make_shared<Preferences>();
  CLI::App* command = app.add_subcommand("up", "join the tailnet, or change what is wanted of it");
  words->add_to(*command);
  command->add_flag("--reset", words->reset, "what is not named returns to its default");
  command->add_option("--timeout", words->timeout, "how long to wait, e.g. 30s; absent: for ever");
  command->callback([&context, words] {
    std::optional<std::chrono::seconds> patience;
    if (!words->timeout.empty()) {
      patience = options::parse_duration(words->timeout);
      if (!patience) {
        return complain(context,
                        {ExitCode::kUsage,
                         "--timeout is '" + printable(words->timeout) + "', expected a duration",
                         {},
                         0,
                         0,
                         "such as 30s or 2m"});
      }
    }
    const auto answer =
        ask_once(context.run_dir, "up", {{"flags", words->flags()}, {"reset", words->reset}});
    if (!answer) return complain(context, answer.error());
    wait_until_running(context, patience);
  });
}

void add_set(CLI::App& app, Context& context) {
  const auto words = std::make_shared<Preferences>();
  CLI::App* command = app.add_subcommand("set", "change what is named, and nothing else");
  words->add_to(*command);
  command->callback([&context, words] {
    show(context, "set", {{"flags", words->flags()}},
         [](const Json&, bool) { return std::string("Done.\n"); });
  });
}

std::string render_state(const Json& answer, bool) { return answer.value("state", "") + "\n"; }

std::string render_ips(const Json& answer, bool) {
  std::string out;
  for (const Json& ip : answer.value("ips", Json::array())) {
    out += printable(ip.get<std::string>()) + "\n";
  }
  return out;
}

std::string render_whois(const Json& answer, bool) {
  const auto text = [&](const char* member) {
    return printable(answer.value(member, std::string()));
  };
  std::string out =
      fmt::format("name  {}\nuser  {}\nkey   {}\n", text("name"), text("user"), text("node_key"));
  for (const Json& ip : answer.value("ips", Json::array())) {
    out += "ip    " + printable(ip.get<std::string>()) + "\n";
  }
  for (const Json& tag : answer.value("tags", Json::array())) {
    out += "tag   " + printable(tag.get<std::string>()) + "\n";
  }
  return out;
}

std::string render_ping(const Json& answer, bool) {
  std::string out;
  for (const Json& reply : answer.value("replies", Json::array())) {
    if (reply.at("rtt_ms").is_null()) {
      out += "no answer\n";
      continue;
    }
    const std::string way =
        reply.at("endpoint").is_string()
            ? "directly at " + printable(reply.at("endpoint").get<std::string>())
            : "by relay region " + reply.at("region").dump();
    out += fmt::format("{:.1f} ms, {}\n", reply.at("rtt_ms").get<double>(), way);
  }
  return out;
}

std::string render_netcheck(const Json& answer, bool colour) {
  const auto yes = [&](const char* member) { return answer.value(member, false) ? "yes" : "no"; };
  const Json varies = answer.value("MappingVariesByDestIP", Json());
  const std::string out = fmt::format(
      "UDP            {}\nIPv4           {} {}\nIPv6           {} {}\nhard NAT       {}\n"
      "nearest relay  region {}\n\n",
      yes("UDP"), yes("IPv4"), printable(answer.value("GlobalV4", "")), yes("IPv6"),
      printable(answer.value("GlobalV6", "")),
      varies.is_boolean() ? (varies.get<bool>() ? "yes" : "no") : "not known",
      answer.value("PreferredDERP", 0));
  Table table({"REGION", "LATENCY"});
  const Json latencies = answer.value("RegionLatency", Json::object());
  for (const auto& [region, ns] : latencies.items()) {
    table.add({printable(region), fmt::format("{:.1f} ms", ns.get<double>() / 1e6)});
  }
  return table.empty() ? out + "No relay answered.\n" : out + table.text(colour);
}

void add_ping(CLI::App& app, Context& context) {
  struct Words {
    std::string node, type = "disco";
    unsigned count = 1;
    bool until_direct = false;
  };
  const auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand(
      "ping", "which way leads to a peer, and how long it takes. Exit code 10 if none answers");
  command->add_option("NODE", words->node, "a peer's name or address")->required();
  command->add_option("-c,--count", words->count, "how often; 10 with --until-direct")
      ->check(CLI::Range(1, 1000));
  command->add_option("--type", words->type, "disco")->check(CLI::IsMember({"disco"}));
  command->add_flag("--until-direct", words->until_direct,
                    "go on until the way is direct. Exit code 10 if it is not");
  command->callback([&context, words, command] {
    if (words->until_direct && command->count("-c") == 0) words->count = 10;
    const auto answer = show(
        context, "ping",
        {{"node", words->node}, {"count", words->count}, {"until_direct", words->until_direct}},
        render_ping);
    if (!answer) return;
    bool good = false;
    for (const Json& reply : answer->value("replies", Json::array())) {
      const bool direct = reply.value("path", "") == "direct";
      good = good || (words->until_direct ? direct : !reply.at("rtt_ms").is_null());
    }
    if (!good) context.exit = ExitCode::kAnswerIsNo;
  });
}

}  // namespace

void add_tailnet(CLI::App& app, Context& context) {
  add_up(app, context);
  add_set(app, context);
  const auto plain = [&](const char* verb, const char* help, Renderer render) {
    app.add_subcommand(verb, help)->callback([&context, verb, render] {
      show(context, verb, Json::object(), render);
    });
  };
  plain("login", "log in anew: the tailnet asks a person, or takes the auth key", render_state);
  plain("logout", "leave the tailnet and forget its keys", render_state);
  plain("ip", "our addresses in the tailnet", render_ips);
  plain("netcheck", "what network this is: UDP, NAT, relays", render_netcheck);
  const auto who = std::make_shared<std::string>();
  CLI::App* whois = app.add_subcommand("whois", "whose address is it?");
  whois->add_option("IP", *who, "an address in the tailnet, or a peer's name")->required();
  whois->callback([&context, who] { show(context, "whois", {{"ip", *who}}, render_whois); });
  add_ping(app, context);
}

}  // namespace sallyport::cli
