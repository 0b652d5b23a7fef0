// SPDX-License-Identifier: BSD-3-Clause
// Command lines in, exit codes and text out; no agent runs.
#include "agent/cli/app.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "agent/cli/client.h"
#include "agent/cli/peer_add.h"

namespace sallyport::cli {
namespace {

struct Said {
  int exit;
  std::string out, err;
};

Said say(std::vector<std::string> words) {
  words.insert(words.begin(), "sallyport");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run(static_cast<int>(words.size()), argv.data());
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(cli_app, exit_codes) {
  struct Row {
    std::vector<std::string> words;
    int exit;
    const char* says;  // on stderr
  };
  const Row rows[] = {
      {{"--help"}, 0, ""},
      {{"--version"}, 0, ""},
      {{"version"}, 0, ""},
      {{"genkey"}, 0, ""},
      {{"reference"}, 0, ""},
      {{"completion", "bash"}, 0, ""},
      {{"explain", "--help"}, 0, ""},
      {{"help", "config", "rules.ports"}, 0, ""},
      {{}, 2, "a verb is missing"},
      {{"frob"}, 2, "there is no verb 'frob'"},
      {{"statsu"}, 2, "did you mean 'status'?"},
      {{"--run", "/nowhere", "fr\x1bob"}, 2, "there is no verb 'fr\\x1bob'"},
      {{"status", "--frob"}, 2, "--frob"},
      {{"explain", "laptop"}, 2, "is required"},
      {{"flows", "--top", "0"}, 2, "--top"},
      {{"flows", "--top", "many"}, 2, "1 to 1000000"},
      {{"--run", "/nowhere", "explain", "\xff", "b:1"}, 5, "no agent answers"},
      {{"completion", "tcsh"}, 2, "tcsh"},
      {{"peer"}, 2, "a verb is missing"},
      {{"help", "frob"}, 2, "no help on 'frob'"},
      {{"help", "config", "rules.portz"}, 2, "ports"},
      {{"--run", "/nowhere", "status"}, 5, "no agent answers at /nowhere/agent.sock"},
      {{"explain", "a", "b:1", "--run", "/nowhere"}, 5, "no agent answers"},
      {{"--run", "/nowhere", "peer", "add", "phone"}, 5, "no agent answers"},
      {{"--run", std::string(200, 'x'), "status"}, 5, "no agent answers"},
  };
  for (const Row& row : rows) {
    const Said said = say(row.words);
    SCOPED_TRACE(row.words.empty() ? "(nothing)" : row.words.back());
    EXPECT_EQ(said.exit, row.exit) << said.out << said.err;
    EXPECT_NE(said.err.find(row.says), std::string::npos) << said.err;
    EXPECT_EQ(said.err.empty(), row.exit == 0) << said.err;
  }
}

TEST(cli_app, errors_as_json) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--json", "--run", "/nowhere", "status"}, {"--json", "frob"}, {"--json"}}) {
    const Said said = say(words);
    const auto answer = nlohmann::ordered_json::parse(said.out, nullptr, false);
    ASSERT_FALSE(answer.is_discarded()) << said.out;
    EXPECT_EQ(answer.begin().key(), "v");
    EXPECT_EQ(answer["error"]["code"], said.exit);
    for (const char* member : {"code", "message", "file", "line", "column", "hint"}) {
      EXPECT_TRUE(answer["error"].contains(member)) << member;
    }
  }
}

TEST(cli_app, texts_as_json) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"completion", "bash"}, {"reference"}, {"help", "config", "rules"}}) {
    SCOPED_TRACE(words.front());
    const std::string plain = say(words).out;
    std::vector<std::string> asked{"--json"};
    asked.insert(asked.end(), words.begin(), words.end());
    const auto answer = nlohmann::ordered_json::parse(say(asked).out, nullptr, false);
    ASSERT_FALSE(answer.is_discarded());
    EXPECT_EQ(answer.begin().key(), "v");
    EXPECT_EQ(answer["text"], plain);
  }
}

TEST(cli_app, help_names_every_verb) {
  const std::string help = say({"--help"}).out;
  EXPECT_NE(help.find("\nVerbs:\n"), std::string::npos) << help;
  EXPECT_NE(say({"peer", "--help"}).out.find("\nVerbs:\n"), std::string::npos);
  for (const char* verb :
       {"status", "explain", "drops", "flows", "rules", "peers", "plan", "doctor", "reload", "down",
        "version", "completion", "genkey", "pubkey", "peer"}) {
    EXPECT_NE(help.find(std::string("\n  ") + verb + " "), std::string::npos) << verb;
  }
}

TEST(cli_app, a_complaint_has_its_place) {
  const Complaint one{ExitCode::kInvalidInput, "unknown key 'rulez'", "/c.yaml", 3, 1,
                      "did you mean 'rules'?", {"/c.yaml:9:2: more"}};
  EXPECT_EQ(one.text(),
            "/c.yaml:3:1: unknown key 'rulez'\n  did you mean 'rules'?\n/c.yaml:9:2: more");
  const Complaint again = Complaint::from_json(one.json().at("error"));
  EXPECT_EQ(again.code, one.code);
  EXPECT_EQ(again.column, 1U);
}

// What bash offers after these words, by the script itself.
std::string completed(const std::string& words) {
  const std::string script = say({"completion", "bash"}).out;
  const std::string command = "bash -c '" +
                              [&] {
                                std::string quoted;
                                for (const char c : script)
                                  quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
                                return quoted;
                              }() +
                              "\nCOMP_WORDS=(sallyport " + words +
                              " \"\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sallyport; "
                              "echo \"${COMPREPLY[*]}\"'";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::array<char, 4096> buffer{};
  const size_t size = fread(buffer.data(), 1, buffer.size(), pipe);
  EXPECT_EQ(pclose(pipe), 0);
  return " " + std::string(buffer.data(), size);
}

TEST(cli_app, bash_completes) {
  EXPECT_NE(completed("").find(" status "), std::string::npos);
  EXPECT_NE(completed("--run /x").find(" explain "), std::string::npos);
  EXPECT_NE(completed("drops").find(" --follow"), std::string::npos);
  EXPECT_NE(completed("peer").find(" add "), std::string::npos);
  EXPECT_NE(completed("completion").find(" zsh "), std::string::npos);
  EXPECT_NE(completed("peer add phone").find(" --qr"), std::string::npos);
  EXPECT_NE(completed("help").find(" config"), std::string::npos);
  EXPECT_EQ(completed("drops").find(" status "), std::string::npos);
}

TEST(cli_app, every_shell_has_a_script_of_its_own) {
  EXPECT_EQ(say({"completion", "zsh"}).out.rfind("#compdef sallyport\n", 0), 0U);
  const std::string fish = say({"completion", "fish"}).out;
  EXPECT_EQ(fish.rfind("complete -c sallyport", 0), 0U);
  EXPECT_NE(fish.find("-a explain -d"), std::string::npos);
  EXPECT_NE(fish.find("from completion' -a ' --help -h bash zsh fish'"), std::string::npos) << fish;
}

TEST(cli_qr, is_a_square_with_a_quiet_zone_and_its_finders) {
  // Version 1 has 21 modules, and 2 are left light on each side: 25 columns, 13 lines of two rows.
  const std::string text = qr_text("sallyport");
  std::vector<std::string> lines;
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    lines.push_back(text.substr(at, end - at));
  }
  ASSERT_EQ(lines.size(), 13U);
  std::string light;
  for (int i = 0; i < 25; ++i) light += "█";
  EXPECT_EQ(lines.front(), "\x1b[40;37m" + light + "\x1b[0m");
  // The finder's upper edge: 7 dark modules over one dark, 5 light, one dark.
  EXPECT_EQ(lines[1].rfind("\x1b[40;37m██ ▄▄▄▄▄ █", 0), 0U) << lines[1];
  EXPECT_NE(qr_text("sallyport"), qr_text("sallypart"));
  EXPECT_EQ(qr_text(std::string(10000, 'x')), "");  // too long for any code
}

}  // namespace
}  // namespace sallyport::cli
