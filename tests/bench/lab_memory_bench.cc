// SPDX-License-Identifier: BSD-3-Clause
// What agent and node weigh, with nobody, a thousand and ten thousand peers. Needs a kernel with
// WireGuard, and root.
//
// This program is linked statically (tests/CMakeLists.txt): a page of a shared library counts to
// those who map it in equal parts, and a measuring process must not pay for its subject.
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/figure.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;
constexpr std::array<int, 3> kPeers{0, 1'000, 10'000};
constexpr double kPssGoalMb = 14;  // of both, with 1,000 peers
constexpr int kRules = 100;
constexpr std::array kFigures{"pss", "private", "pss.agent", "pss.node", "maps", "pss.scraped"};
constexpr double kMb = 1e6;

[[noreturn]] void die(const std::string& why) {
  std::cerr << "lab_memory_bench: " << why << '\n';
  std::exit(1);
}

void must(const char* command) {
  if (std::system(command) != 0) die(command);
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void eventually(const std::string& what, const auto& happened) {
  const auto end = std::chrono::steady_clock::now() + 300s;
  while (!happened()) {
    if (std::chrono::steady_clock::now() > end) die("never: " + what);
    std::this_thread::sleep_for(20ms);
  }
}

std::string base64_key(uint32_t seed) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::mt19937_64 random(seed);
  std::string out;
  for (int i = 0; i < 42; ++i) out += kDigits[random() % 64];
  out += kDigits[random() % 16 * 4];  // the last digit holds four bits
  return out + "=";
}

/// Peers of both families, a hundred groups of them, and a rule for each group.
std::string configuration(int peers) {
  std::ostringstream out;
  out << "version: 1\nnode:\n  hostname: gate\n  addresses: [10.64.0.1/10, 'fd77::1/64']\n"
         "lan:\n  - {name: office, prefix: 10.0.0.0/24, device: lan0}\n";
  out << "peers:" << (peers == 0 ? " []" : "") << '\n';
  for (int i = 0; i < peers; ++i) {
    const int host = i + 2;
    out << "  - {name: peer" << i << ", public_key: '" << base64_key(static_cast<uint32_t>(i))
        << "', allowed_ips: [10.64." << host / 256 << '.' << host % 256
        << "/32, 'fd77::" << std::hex << host << std::dec << "/128']}\n";
  }
  if (peers == 0) return out.str() + "rules: []\n";
  out << "groups:\n";
  for (int group = 0; group < kRules; ++group) {
    out << "  group" << group << ": [";
    for (int i = group; i < peers; i += kRules) out << (i == group ? "" : ", ") << "peer" << i;
    out << "]\n";
  }
  out << "rules:\n";
  for (int rule = 0; rule < kRules; ++rule) {
    out << "  - {id: rule" << rule << ", from: ['group:group" << rule
        << "'], to: [office], proto: [tcp], ports: [" << 1000 + rule << "]}\n";
  }
  return out.str();
}

/// The agent of a folder, with its node.
class Gateway {
 public:
  Gateway(std::string dir, int peers) : dir_(std::move(dir)) {
    std::filesystem::create_directories(dir_ + "/state");
    std::filesystem::create_directories(dir_ + "/run");
    std::ofstream(dir_ + "/config.yaml") << configuration(peers);
    ::chmod((dir_ + "/config.yaml").c_str(), 0600);
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    const std::string program = here / "sallyport-agent";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(STDERR_FILENO, STDOUT_FILENO);
      ::execl(program.c_str(), "sallyport-agent", "--config", (dir_ + "/config.yaml").c_str(),
              "--state", (dir_ + "/state").c_str(), "--run", (dir_ + "/run").c_str(), "--node-user",
              "65534", nullptr);
      ::_exit(127);
    }
    eventually("the agent serves", [&] {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) die("the agent ended");
      return std::filesystem::exists(dir_ + "/run/agent.ready");
    });
    // Everything of the start is over: the node has answered, and nobody uses the CPU any more.
    eventually("a node", [&] { return node() > 0; });
    uint64_t before = 0;
    auto since = std::chrono::steady_clock::now();
    eventually("quiet", [&] {
      const uint64_t used = cpu(pid_) + cpu(node());
      if (std::exchange(before, used) != used) since = std::chrono::steady_clock::now();
      return std::chrono::steady_clock::now() - since > 1s;
    });
  }
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;
  ~Gateway() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  /// MB of that line of smaps_rollup ("Pss", "Private_Dirty").
  [[nodiscard]] double agent_mb(const std::string& line) const { return mb(pid_, line); }
  [[nodiscard]] double node_mb(const std::string& line) const { return mb(node(), line); }
  /// The page of metrics.
  [[nodiscard]] std::string scrape() const {
    constexpr std::string_view kRequest = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    const std::string path = dir_ + "/run/metrics.sock";
    std::memcpy(to.sun_path, path.data(), std::min(path.size(), sizeof to.sun_path - 1));
    std::string out;
    if (::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 &&
        ::send(socket, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) > 0) {
      std::array<char, 65536> buffer{};
      for (ssize_t n = 0; (n = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0;) {
        out.append(buffer.data(), static_cast<size_t>(n));
      }
    }
    ::close(socket);
    return out;
  }
  /// Takes the kernel's part away too.
  void down() const {
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    must(("'" + (here / "sallyport").string() + "' --run '" + dir_ + "/run' down >&2").c_str());
  }

 private:
  [[nodiscard]] int node() const {
    const std::string task = "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_);
    return std::atoi(read_file(task + "/children").c_str());
  }
  /// Ticks of user and system time.
  static uint64_t cpu(int pid) {
    std::istringstream words(read_file("/proc/" + std::to_string(pid) + "/stat"));
    std::string word;
    for (int i = 0; i < 13; ++i) words >> word;
    uint64_t user = 0;
    uint64_t system = 0;
    words >> user >> system;
    return user + system;
  }
  static double mb(int pid, const std::string& wanted) {
    std::istringstream lines(read_file("/proc/" + std::to_string(pid) + "/smaps_rollup"));
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind(wanted + ":", 0) != 0) continue;
      return std::stod(line.substr(wanted.size() + 1)) * 1024 / kMb;
    }
    die("no " + wanted + " of process " + std::to_string(pid));
  }
  std::string dir_;
  pid_t pid_ = -1;
};

double metric(const std::string& page, const std::string& name) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name + " ", 0) == 0) return std::stod(line.substr(name.size() + 1));
  }
  die("no " + name);
}

void measure(const bench::Filter& filter, const std::string& dir, int peers) {
  const std::string count = std::to_string(peers);
  if (std::ranges::none_of(kFigures, [&](const char* name) {
        return filter.wants("memory." + std::string(name) + "." + count);
      }))
    return;
  const Gateway gateway(dir, peers);
  const auto print = [&](const std::string& name, double value,
                         const std::optional<bench::Goal>& goal = {}) {
    const std::string full = "memory." + name + "." + count;
    if (filter.wants(full)) bench::print({full, "MB", bench::Samples({value}), {}, goal});
  };
  const auto goal = peers == 1'000 ? std::optional(bench::at_most(kPssGoalMb)) : std::nullopt;
  const auto both = [&](const std::string& line) {
    return gateway.agent_mb(line) + gateway.node_mb(line);
  };
  print("pss", both("Pss"), goal);
  print("private", both("Private_Dirty") + both("Private_Clean"));
  print("pss.agent", gateway.agent_mb("Pss"));
  print("pss.node", gateway.node_mb("Pss"));
  // Whoever is asked for its metrics needs room for the answer.
  const std::string page = gateway.scrape();
  print("maps", metric(page, "sallyport_map_bytes") / kMb);
  print("pss.scraped", both("Pss"));
  gateway.down();
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  using namespace sallyport;
  const bench::Filter filter(argc, argv);
  if (::unshare(CLONE_NEWNET) != 0) die("needs root");
  must(
      "ip link set lo up && ip link add lan0 type dummy && ip addr add 10.0.0.1/24 dev lan0 && "
      "ip link set lan0 up");
  std::string dir = std::filesystem::temp_directory_path() / "sallyport-memory-XXXXXX";
  if (::mkdtemp(dir.data()) == nullptr) die("mkdtemp");
  for (const int peers : kPeers) measure(filter, dir + "/" + std::to_string(peers), peers);
  std::filesystem::remove_all(dir);
  return 0;
}
