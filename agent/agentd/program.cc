// SPDX-License-Identifier: BSD-3-Clause
#include "agent/agentd/program.h"

#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "agent/agentd/privileges.h"
#include "agent/base/log.h"
#include "agent/base/version.h"

namespace sallyport {
namespace {

struct CommandLine {
  Directories directories;
  std::string node_user = "sallyport-node";
  bool debug = false;
};

int complain(const AgentEnd& end) {
  for (const InputError& error : end.errors) {
    std::fputs(("sallyport-agent: " + error.text() + "\n").c_str(), stderr);
  }
  return static_cast<int>(end.code);
}

// From the libexec folder beside our own, else our own.
std::string node_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto libexec =
      self.parent_path().parent_path() / "libexec" / "sallyport" / "sallyport-node";
  if (std::filesystem::exists(libexec, error)) return libexec;
  return self.parent_path() / "sallyport-node";
}

Result<std::optional<io::ChildOptions::User>, AgentEnd> find_user(const std::string& name) {
  using User = std::optional<io::ChildOptions::User>;
  if (::geteuid() != 0) return User();
  const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
  if (number) {
    const auto id = static_cast<uid_t>(std::stoul(name));
    return User({id, id});
  }
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr) {
    return Fail{AgentEnd{ExitCode::kFailed,
                         {{{}, "there is no user " + name, "systemd-sysusers, or --node-user"}},
                         false}};
  }
  return User({entry->pw_uid, entry->pw_gid});
}

Result<AgentEnd, AgentEnd> serve(const CommandLine& line, const Ground& ground) {
  const auto give_up = [](const Error& error, ExitCode code = ExitCode::kFailed) {
    return Fail{AgentEnd{code, {{{}, error.text(), {}}}, false}};
  };
  if (const auto kept = keep_start_capabilities(); !kept) return give_up(kept.error());
  Probe probe = ground.probe();
  if (probe.refused()) {
    AgentEnd end{ExitCode::kUnsupported, {}, false};
    for (const Missing& missing : probe.missing) end.errors.push_back({{}, missing.text(), {}});
    return Fail{std::move(end)};
  }
  auto user = TRY(find_user(line.node_user));
  auto loop = io::Loop::create();
  if (!loop) return give_up(loop.error());
  auto wireguard = ground.open_wireguard();
  if (!wireguard) return give_up(wireguard.error());

  auto agent = TRY(Agent::start(
      **loop, {.directories = line.directories, .node_program = node_program(), .node_user = user},
      ServiceManager::from_environment(), std::move(probe), std::move(*wireguard)));
  if (const auto dropped = drop_start_capabilities(); !dropped) return give_up(dropped.error());
  if (const auto ran = (*loop)->run(); !ran) return give_up(ran.error());
  return agent->end();
}

}  // namespace

int run_agent(int argc, char** argv, const Ground& ground) {
  // The service manager's variables are taken out of our own environment on the way.
  std::vector<std::string> environment;
  for (char** each = environ; *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with("LISTEN_")) environment.emplace_back(*each);
  }
  CommandLine line;
  CLI::App app("Holds in-kernel WireGuard and the access rules to config.yaml.", "sallyport-agent");
  app.add_option("--config", line.directories.config, "configuration file")->capture_default_str();
  app.add_option("--state", line.directories.state, "what outlives a reboot")
      ->capture_default_str();
  app.add_option("--run", line.directories.run, "sockets and what a reboot ends")
      ->capture_default_str();
  app.add_option("--node-user", line.node_user, "user of the unprivileged half, name or number")
      ->capture_default_str();
  app.add_flag("--debug", line.debug, "log each step");
  app.set_version_flag("--version", std::string("sallyport-agent ") + kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  if (line.debug) set_log_level(Level::kDebug);

  const auto end = serve(line, ground);
  if (!end) return complain(end.error());
  if (!end->again) return complain(*end);
  std::vector<char*> words;
  words.reserve(environment.size() + 1);
  for (std::string& word : environment) words.push_back(word.data());
  words.push_back(nullptr);
  // By its path, so that a new version takes over; by the open file where that is gone.
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  ::execve(self.c_str(), argv, words.data());
  ::execve("/proc/self/exe", argv, words.data());
  std::perror("sallyport-agent: cannot execute itself");
  return static_cast<int>(ExitCode::kFailed);
}

}  // namespace sallyport
