// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/gateway.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/scene/mutant.h"

namespace sallyport::scene {
namespace {

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string http_over_unix(const std::string& path, const std::string& request) {
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return {};
  std::memcpy(to.sun_path, path.data(), path.size());
  if (::connect(socket.raw(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return {};
  if (::send(socket.raw(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string out;
  std::array<char, 65536> buffer{};
  for (ssize_t n = 0; (n = ::recv(socket.raw(), buffer.data(), buffer.size(), 0)) > 0;) {
    out.append(buffer.data(), static_cast<size_t>(n));
  }
  return out;
}

}  // namespace

std::string program(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

Gateway::Gateway(const std::string& netns, const std::string& dir)
    : netns_(netns), dir_(dir), wireguard_(rung().wireguard_in(netns)) {
  std::filesystem::create_directories(dir_ + "/state");
  std::filesystem::create_directories(dir_ + "/run");
}

void Gateway::configure(const std::string& yaml) const {
  std::ofstream(file("config.yaml")) << yaml;
  ::chmod(file("config.yaml").c_str(), 0600);
}

bool Gateway::start(std::chrono::milliseconds limit) {
  std::filesystem::remove(file("run/agent.ready"));
  agent_ = std::make_unique<Process>(command(), netns_, file("agent.log"));
  if (!serving(limit)) return false;
  if (mutants_wanted()) {
    std::printf("mutant: detached %d programs\n", detach_programs(file("state")));
    std::fflush(stdout);
  }
  return true;
}

std::vector<std::string> Gateway::command() const {
  return {programs.empty() ? program(rung().agent()) : programs + "/" + rung().agent(),
          "--config",
          file("config.yaml"),
          "--state",
          file("state"),
          "--run",
          file("run"),
          "--node-user",
          "65534"};
}

bool Gateway::serving(std::chrono::milliseconds limit) const {
  return eventually(
             [&] {
               return std::filesystem::exists(file("run/agent.ready")) ||
                      ::kill(agent_->pid(), 0) != 0;
             },
             limit) &&
         std::filesystem::exists(file("run/agent.ready"));
}

int Gateway::stop() {
  if (!agent_) return -1;
  agent_->signal(SIGTERM);
  const int code = agent_->wait(15s);
  agent_.reset();
  return code;
}

void Gateway::kill9() {
  agent_->signal(SIGKILL);
  agent_->wait();
  agent_.reset();
}

int Gateway::node_pid() const {
  if (!agent_) return -1;
  std::istringstream children(read_file("/proc/" + std::to_string(agent_->pid()) + "/task/" +
                                        std::to_string(agent_->pid()) + "/children"));
  int pid = -1;
  children >> pid;
  return pid;
}

Output Gateway::cli(const std::vector<std::string>& words) const {
  std::vector<std::string> argv{program("sallyport"), "--run", file("run")};
  argv.insert(argv.end(), words.begin(), words.end());
  return run(argv, netns_);
}

nlohmann::json Gateway::json(const std::vector<std::string>& words) const {
  std::vector<std::string> argv{"--json"};
  argv.insert(argv.end(), words.begin(), words.end());
  const Output result = cli(argv);
  auto out = nlohmann::json::parse(result.out, nullptr, false);
  EXPECT_FALSE(out.is_discarded()) << words.front() << ": exit " << result.exit << "\n"
                                   << result.out << result.err << dump();
  return out;
}

void Gateway::reload(const std::string& yaml) const {
  configure(yaml);
  const Output result = cli({"reload"});
  EXPECT_EQ(result.exit, 0) << result.out << result.err << dump();
}

std::string Gateway::metrics() const {
  return http_over_unix(file("run/metrics.sock"),
                        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

uint64_t Gateway::verdicts(const std::string& name) const {
  std::istringstream lines(metrics());
  uint64_t sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("sallyport_packets_total{", 0) != 0) continue;
    if (line.find("verdict=\"" + name + "\"") == std::string::npos) continue;
    sum += static_cast<uint64_t>(std::stod(line.substr(line.rfind(' ') + 1)));
  }
  return sum;
}

std::string Gateway::public_key() const {
  return nlohmann::json::parse(cli({"--json", "status"}).out)["self"]["node_key"];
}

int Gateway::wg_port() const {
  return nlohmann::json::parse(read_file(file("run/agent.ready")))["wg_port"];
}

std::string Gateway::log() const { return read_file(file("agent.log")); }

std::string Gateway::dump() const {
  std::string out = "\n--- agent log\n" + read_file(file("agent.log"));
  const std::vector<std::vector<std::string>> commands{{"wg", "show"},
                                                       {"ip", "-d", "link"},
                                                       {"ip", "addr"},
                                                       {"ip", "rule"},
                                                       {"ip", "route", "show", "table", "all"},
                                                       {"nft", "list", "ruleset"}};
  for (const auto& command : commands) {
    out += "--- " + command[0] + " " + (command.size() > 1 ? command[1] : "") + "\n";
    const Output result = run(command, netns_);
    out += result.out + result.err;
  }
  out += "--- drops\n" + cli({"drops"}).out + "--- packets\n";
  std::istringstream lines(metrics());
  for (std::string line; std::getline(lines, line);) {
    const bool counted = line.starts_with("sallyport_") && !line.ends_with(" 0");
    if (counted && line.find("bytes_total") == std::string::npos) out += line + "\n";
  }
  return out;
}

}  // namespace sallyport::scene
