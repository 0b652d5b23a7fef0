// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/app.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <optional>
#include <string_view>

#include "agent/base/text.h"
#include "agent/base/version.h"
#include "agent/cli/client.h"
#include "agent/cli/completion.h"
#include "agent/cli/context.h"
#include "agent/cli/peer_add.h"
#include "agent/cli/render.h"
#include "agent/cli/tailnet.h"
#include "agent/cli/terminal.h"
#include "agent/model/keys.h"
#include "agent/model/nearest.h"
#include "agent/options/reference.h"

namespace sallyport::cli {
namespace {

std::string in_quotes(const std::string& word) { return "'" + printable(word) + "'"; }

void print_text(const Context& context, const std::string& text) {
  print(context.json ? Json{{"v", 1}, {"text", text}}.dump() + "\n" : text);
}

// verb, help, renderer: those that ask one question without words of their own.
struct Question {
  const char* verb;
  const char* help;
  Renderer render;
};
constexpr Question kQuestions[] = {
    {"status", "health, peers and policy of this gateway", render_status},
    {"peers", "peers with their paths and traffic", render_peers},
    {"rules", "access rules with their hits", render_rules},
    {"plan", "what a reload would change in the kernel, without doing it", render_plan},
};

void add_questions(CLI::App& app, Context& context) {
  for (const Question& question : kQuestions) {
    app.add_subcommand(question.verb, question.help)->callback([&context, question] {
      show(context, question.verb, Json::object(), question.render);
    });
  }
}

void add_explain(CLI::App& app, Context& context) {
  struct Words {
    std::string src, dst, proto = "tcp", at;
  };
  const auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("explain",
                                         "would this connection be allowed, and by which rule? "
                                         "Exit code 10 if not");
  command->add_option("SRC", words->src, "a peer's name or an address")->required();
  command->add_option("DST[:PORT]", words->dst, "an address with port, or a peer's name")
      ->required();
  command->add_option("PROTO", words->proto, "tcp, udp, icmp, ... or a number")
      ->capture_default_str();
  command->add_option("--at", words->at, "as of this time (RFC 3339)");
  command->callback([&context, words] {
    const auto answer =
        show(context, "explain",
             {{"src", words->src}, {"dst", words->dst}, {"proto", words->proto}, {"at", words->at}},
             render_explanation);
    if (answer && answer->value("verdict", "") == "deny") context.exit = ExitCode::kAnswerIsNo;
  });
}

void add_drops(CLI::App& app, Context& context) {
  const auto follow = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("drops", "what was dropped lately, and why");
  command->add_flag("-f,--follow", *follow, "go on with each drop as it happens");
  command->callback([&context, follow] {
    if (!*follow) {
      show(context, "drops", Json::object(), render_drops);
      return;
    }
    const bool colour = colour_wanted();
    const auto end = ask(context.run_dir, "drops-follow", Json::object(), [&](const Json& drop) {
      print(context.json ? drop.dump() + "\n" : render_drop(drop, colour));
      std::fflush(stdout);
      return true;
    });
    if (!end) complain(context, end.error());
  });
}

void add_flows(CLI::App& app, Context& context) {
  const auto top = std::make_shared<unsigned>(50);
  CLI::App* command = app.add_subcommand("flows", "flows under way, the largest first");
  command->add_option("--top", *top, "how many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->callback([&context, top] { show(context, "flows", {{"top", *top}}, render_flows); });
}

void add_doctor(CLI::App& app, Context& context) {
  const auto fix = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "doctor", "looks for what is wrong and how to mend it. Exit code 10 if something is");
  command->add_flag("--fix", *fix, "mend what can be mended safely");
  command->callback([&context, fix] {
    const auto answer = show(context, "doctor", {{"fix", *fix}}, render_findings);
    if (!answer) return;
    for (const Json& finding : answer->value("findings", Json::array())) {
      const std::string severity = finding.value("severity", "info");
      if (severity != "info" && !finding.value("fixed", false))
        context.exit = ExitCode::kAnswerIsNo;
    }
  });
}

void add_changes(CLI::App& app, Context& context) {
  const auto say_done = [&context](const std::string& verb, const std::string& done) {
    const auto answer = ask_once(context.run_dir, verb);
    if (!answer) return complain(context, answer.error());
    print(context.json ? answer->dump() + "\n" : done + "\n");
  };
  app.add_subcommand("reload", "read config.yaml again and apply what changed")
      ->callback([say_done] { say_done("reload", "Reloaded."); });
  app.add_subcommand("down", "take everything of ours out of the kernel")->callback([say_done] {
    say_done("down", "Down: the kernel is as it was before. sallyport reload brings it up again.");
  });
}

void add_peer_commands(CLI::App& app, Context& context) {
  CLI::App* peer = app.add_subcommand("peer", "plain WireGuard peers")->require_subcommand(1);
  struct Words {
    std::string name;
    bool qr = false;
  };
  const auto words = std::make_shared<Words>();
  CLI::App* add = peer->add_subcommand("add", "make a peer and print its configuration");
  add->add_option("NAME", words->name, "letters, digits and '-'")->required();
  add->add_flag("--qr", words->qr, "show it as a QR code for the phone app, too");
  add->callback([&context, words] {
    const auto peer_added = add_peer(context.run_dir, words->name);
    if (!peer_added) return complain(context, peer_added.error());
    if (context.json) {
      print(Json{{"v", 1},
                 {"name", words->name},
                 {"file", peer_added->file},
                 {"configuration", peer_added->configuration}}
                .dump() +
            "\n");
      return;
    }
    print(peer_added->configuration);
    if (words->qr) print("\n" + qr_text(peer_added->configuration));
    std::fputs(fmt::format("\n{} holds the peer. Its private key is above and nowhere else.\n"
                           "It may do nothing until a rule in config.yaml names it: "
                           "from: [{}], to: [lan]\n",
                           peer_added->file, words->name)
                   .c_str(),
               stderr);
  });
}

void add_keys(CLI::App& app, Context& context) {
  app.add_subcommand("genkey", "a new private key, as wg genkey")->callback([&context] {
    const std::string key = PrivateKey::generate().reveal_text();
    print(context.json ? Json{{"v", 1}, {"private_key", key}}.dump() + "\n" : key + "\n");
  });
  app.add_subcommand("pubkey", "the public key of the private key on standard input")
      ->callback([&context] {
        std::string line;
        std::getline(std::cin, line);
        const auto key = PrivateKey::parse(line);
        explicit_bzero(line.data(), line.size());
        if (!key) {
          complain(context, {ExitCode::kInvalidInput,
                             "standard input holds no private key (44 characters of base64)",
                             {},
                             0,
                             0,
                             "sallyport genkey | sallyport pubkey"});
          return;
        }
        const std::string open = key->public_key().text();
        print(context.json ? Json{{"v", 1}, {"public_key", open}}.dump() + "\n" : open + "\n");
      });
}

void add_texts(CLI::App& app, Context& context) {
  app.add_subcommand("version", "the version of this program")->callback([&context] {
    print(context.json ? Json{{"v", 1}, {"version", kVersion}}.dump() + "\n"
                       : fmt::format("sallyport {}\n", kVersion));
  });
  const auto shell = std::make_shared<std::string>();
  CLI::App* completion = app.add_subcommand("completion", "completion for your shell");
  completion->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback(
      [&app, &context, shell] { print_text(context, completion_script(app, *shell)); });
  const auto topic = std::make_shared<std::vector<std::string>>();
  CLI::App* help = app.add_subcommand("help", "help config [KEY]: what a key of config.yaml means");
  help->add_option("TOPIC", *topic, "config and a key, e.g. config rules.ports")
      ->required()
      ->expected(1, 2);
  help->callback([&context, topic] {
    if (topic->front() != "config") {
      return complain(context, {ExitCode::kUsage,
                                "there is no help on " + in_quotes(topic->front()),
                                {},
                                0,
                                0,
                                "sallyport help config KEY, or sallyport VERB --help"});
    }
    const auto text = options::help_for(topic->size() > 1 ? topic->back() : "");
    if (!text) return complain(context, {ExitCode::kUsage, text.error(), {}, 0, 0, {}});
    print_text(context, *text);
  });
  app.add_subcommand("reference", "the configuration reference, as config/reference.md")
      ->callback([&context] { print_text(context, options::reference_page()); });
}

// The first word that is no option of ours, if it names no verb: CLI11 would only say that a verb
// is missing.
std::optional<std::string> unknown_verb(const CLI::App& app, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--run") {
      ++i;
    } else if (!word.starts_with('-')) {
      const auto found =
          app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == word; });
      return found.empty() ? std::optional(word) : std::nullopt;
    }
  }
  return {};
}

std::string hint_for(const CLI::App& app, const std::optional<std::string>& unknown) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({})) names.push_back(verb->get_name());
  if (const auto meant = unknown ? nearest(*unknown, names) : std::nullopt) {
    return "did you mean " + in_quotes(*meant) + "?";
  }
  return "sallyport --help lists the verbs, sallyport VERB --help explains one";
}

// CLI11 says help and version by exceptions too: those go to its own printer.
void usage(Context& context, const CLI::App& app, const CLI::ParseError& error, int argc,
           char** argv) {
  if (error.get_exit_code() == 0) {
    app.exit(error);
    return;
  }
  // A word on the line, before the parser has come to it.
  context.json = context.json || std::any_of(argv, argv + argc, [](const char* word) {
                   return std::string_view(word) == "--json";
                 });
  const auto verb = unknown_verb(app, argc, argv);
  std::string what = verb ? "there is no verb " + in_quotes(*verb) : std::string(error.what());
  if (what == "A subcommand is required") what = "a verb is missing";
  complain(context, {ExitCode::kUsage, printable(what), {}, 0, 0, hint_for(app, verb)});
}

}  // namespace

int run(int argc, char** argv) {
  Context context;
  CLI::App app("Asks and steers the Sallyport gateway on this machine.", "sallyport");
  app.add_option("--run", context.run_dir, "where the agent's socket is")->capture_default_str();
  app.add_flag("--json", context.json, "one JSON object instead of text");
  app.require_subcommand(1);
  app.fallthrough();
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.get_formatter()->label("TEXT", "WORD");
  app.get_formatter()->label("REQUIRED", "");
  app.set_version_flag("--version", std::string("sallyport ") + kVersion);
  add_questions(app, context);
  add_explain(app, context);
  add_drops(app, context);
  add_flows(app, context);
  add_doctor(app, context);
  add_changes(app, context);
  add_tailnet(app, context);
  add_peer_commands(app, context);
  add_keys(app, context);
  add_texts(app, context);
  const auto call_them_verbs = [](CLI::App& of, const auto& self) -> void {
    for (CLI::App* verb : of.get_subcommands({})) {
      verb->group("Verbs");
      self(*verb, self);
    }
  };
  call_them_verbs(app, call_them_verbs);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    usage(context, app, error, argc, argv);
  }
  return static_cast<int>(context.exit);
}

}  // namespace sallyport::cli
