// SPDX-License-Identifier: BSD-3-Clause
// sallyport-node as a process: what it has left once it listens, and how it ends.
#include "agent/drive/agent/node_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "agent/io/clock.h"
#include "tests/unit/io/drive.h"

namespace sallyport {
namespace {

constexpr const char* kProgram = SALLYPORT_BINARY_DIR "/bin/sallyport-node";
constexpr const char* kNobody = "65534";

PublicKey key(uint8_t last) {
  PublicKey out;
  out.bytes[31] = last;
  return out;
}

/// Its process, with `theirs` as its channel.
pid_t spawn_node(const Fd& theirs, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "sallyport-node");
  std::vector<char*> texts;
  for (std::string& text : arguments) texts.push_back(text.data());
  texts.push_back(nullptr);
  // It may not look for leaks: that takes a process of its own.
  std::string quiet = "ASAN_OPTIONS=detect_leaks=0";
  std::array<char*, 2> environment{quiet.data(), nullptr};
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  // On itself dup2() would leave FD_CLOEXEC.
  if (theirs.raw() == 3) {
    ::fcntl(3, F_SETFD, 0);
  } else {
    ::dup2(theirs.raw(), 3);
  }
  ::execve(kProgram, texts.data(), environment.data());
  ::_exit(127);
}

void say_to(const Fd& channel, const std::vector<channel::AgentRecord>& records) {
  const auto messages = channel::write_agent_messages(records);
  ASSERT_TRUE(messages);
  for (const Bytes& message : *messages) {
    EXPECT_EQ(::send(channel.raw(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }
}

/// Within ten seconds.
bool becomes_readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, 10'000) == 1;
}

/// Started as the agent does it, but by hand: what it hears is ours to say.
class RawNode {
 public:
  explicit RawNode(std::vector<std::string> arguments, bool right_socket = true) {
    std::array<int, 2> pair{};
    const int type = right_socket ? SOCK_SEQPACKET : SOCK_STREAM;
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.data()), 0);
    ours_ = Fd(pair[0]);
    const Fd theirs(pair[1]);
    pid_ = spawn_node(theirs, std::move(arguments));
  }
  RawNode(const RawNode&) = delete;
  RawNode& operator=(const RawNode&) = delete;
  ~RawNode() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void say(const Bytes& message) const {
    EXPECT_EQ(::send(ours_.raw(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }
  void say(const std::vector<channel::AgentRecord>& records) const { say_to(ours_, records); }
  /// What it says next, within ten seconds.
  [[nodiscard]] std::vector<channel::NodeRecord> hear() const {
    pollfd wait{ours_.raw(), POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, 10'000), 1) << "it says nothing";
    if (wait.revents == 0) return {};
    Bytes message(channel::kMaxMessage);
    const ssize_t size = ::recv(ours_.raw(), message.data(), message.size(), 0);
    if (size <= 0) return {};
    const auto records =
        channel::parse_node_message(ByteView(message).first(static_cast<size_t>(size)));
    return records ? *records : std::vector<channel::NodeRecord>{};
  }
  void hang_up() { ours_.reset(); }
  /// -SIGNAL if it was killed.
  int exit_code() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  Fd ours_;
  pid_t pid_ = -1;
};

std::map<std::string, std::string> status_of(const std::filesystem::path& process) {
  std::map<std::string, std::string> out;
  std::ifstream in(process / "status");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    if (colon != std::string::npos && value != std::string::npos)
      out[line.substr(0, colon)] = line.substr(value);
  }
  return out;
}

/// The node is its own user only if somebody can become one.
std::vector<std::string> as_nobody() {
  if (::geteuid() != 0) return {};
  return {"--node-user", kNobody};
}

TEST(node_process, listens_without_any_privilege_and_ends_with_its_agent) {
  RawNode node(as_nobody());
  node.say({channel::Hello{.saved_clock = io::wall_now()},
            channel::Name{key(1), "192.0.2.7", 51820}, channel::Ready{}});
  const std::vector<channel::NodeRecord> said = node.hear();
  ASSERT_EQ(said.size(), 3U);
  EXPECT_EQ(said[1], channel::NodeRecord(
                         channel::Put{PeerEndpoint{key(1), *Endpoint::parse("192.0.2.7:51820")}}));

  const std::filesystem::path process = "/proc/" + std::to_string(node.pid());
  size_t threads = 0;
  for (const auto& thread : std::filesystem::directory_iterator(process / "task")) {
    SCOPED_TRACE(thread.path());
    threads++;
    auto status = status_of(thread.path());
    EXPECT_EQ(status["Seccomp"], "2");
    EXPECT_EQ(status["NoNewPrivs"], "1");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
      EXPECT_EQ(status[set], "0000000000000000") << set;
    if (::geteuid() == 0) {
      const std::string id = kNobody;
      EXPECT_EQ(status["Uid"], id + "\t" + id + "\t" + id + "\t" + id);
      EXPECT_EQ(status["Gid"], id + "\t" + id + "\t" + id + "\t" + id);
      EXPECT_EQ(status["Groups"], "");
    }
  }
  EXPECT_GE(threads, 2U) << "the resolver has one";
  node.hang_up();
  EXPECT_EQ(node.exit_code(), 0);
}

// The agent is killed and cannot say goodbye; that somebody else still holds the channel is how one
// tells the kernel's signal from a node that read the end of it.
TEST(node_process, is_killed_with_its_agent) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // its grandchild becomes our child
  std::array<int, 2> pair{};
  std::array<int, 2> pipe{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const Fd ours(pair[0]);
  Fd theirs(pair[1]);
  const Fd told(pipe[0]);
  const Fd tells(pipe[1]);
  const pid_t agent = ::fork();
  if (agent == 0) {
    const pid_t node = spawn_node(theirs, as_nobody());
    [[maybe_unused]] const ssize_t said = ::write(tells.raw(), &node, sizeof node);
    for (;;) ::pause();
  }
  theirs.reset();
  pid_t node = -1;
  EXPECT_EQ(::read(told.raw(), &node, sizeof node), static_cast<ssize_t>(sizeof node));
  const Fd handle(static_cast<int>(::syscall(SYS_pidfd_open, node, 0)));
  say_to(ours, {channel::Hello{.saved_clock = io::wall_now()},
                channel::Name{key(1), "192.0.2.7", 51820}, channel::Ready{}});
  EXPECT_TRUE(becomes_readable(ours.raw())) << "it has come so far that it answers";
  EXPECT_EQ(::kill(agent, SIGKILL), 0);
  EXPECT_EQ(::waitpid(agent, nullptr, 0), agent);
  EXPECT_TRUE(becomes_readable(handle.raw())) << "the node goes on";
  ::kill(node, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(node, &status, 0), node);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(node_process, ends_if_the_agent_talks_nonsense) {
  RawNode node(as_nobody());
  node.say(Bytes{0xff, 0, 0});
  EXPECT_EQ(node.exit_code(), 1);
}

TEST(node_process, will_not_run_as_root_nor_without_its_socket) {
  if (::geteuid() == 0) {
    EXPECT_EQ(RawNode({}).exit_code(), 4);
  }
  EXPECT_EQ(RawNode(as_nobody(), false).exit_code(), 2);
  EXPECT_EQ(RawNode({"--node-user", "0"}).exit_code(), 2);
  EXPECT_EQ(RawNode({"--help"}).exit_code(), 2);
}

/// The agent's end of it.
class agent_end : public testing::Test {
 protected:
  std::unique_ptr<NodeProcess> start(const std::string& program) {
    NodeProcessOptions options{.program = program, .user = {}, .saved_clock = io::wall_now()};
    if (::geteuid() == 0) options.user = io::ChildOptions::User{65534, 65534};
    auto started = NodeProcess::start(
        *loop_, std::move(options),
        {.on_state = [this](const NodeState& state) { states_.push_back(state); },
         .on_end = [this](const std::string& why) { ends_.push_back(why); }});
    EXPECT_TRUE(started) << (started ? "" : started.error().text());
    return started ? std::move(*started) : nullptr;
  }
  std::unique_ptr<io::Loop> loop_ = io::make_loop();
  std::vector<NodeState> states_;
  std::vector<std::string> ends_;
};

TEST_F(agent_end, hears_where_a_configured_name_is_and_what_became_of_it) {
  const auto node = start(kProgram);
  ASSERT_NE(node, nullptr);
  Config config;
  PeerConfig peer;
  peer.public_key = key(1);
  peer.endpoint = "0xc0000207:51820";  // a name to us, and no question for a server
  config.peers.push_back(peer);
  node->configure(config, {});
  ASSERT_TRUE(io::run_until(*loop_, [&] { return !states_.empty() || !ends_.empty(); }));
  ASSERT_EQ(states_.size(), 1U) << (ends_.empty() ? "" : ends_[0]);
  EXPECT_EQ(states_[0].endpoints.at(key(1)), *Endpoint::parse("192.0.2.7:51820"));
  node->configure({}, {});
  ASSERT_TRUE(io::run_until(*loop_, [&] { return states_.size() > 1 || !ends_.empty(); }));
  ASSERT_EQ(states_.size(), 2U) << (ends_.empty() ? "" : ends_[0]);
  EXPECT_TRUE(states_[1].endpoints.empty());
  EXPECT_TRUE(ends_.empty());
}

TEST_F(agent_end, another_configuration_withdraws_what_it_forbids_and_hears_it_anew) {
  const auto node = start(kProgram);
  ASSERT_NE(node, nullptr);
  Config config;
  PeerConfig peer;
  peer.public_key = key(1);
  peer.endpoint = "0xc0000207:51820";
  config.peers.push_back(peer);
  node->configure(config, {});
  ASSERT_TRUE(io::run_until(*loop_, [&] { return !states_.empty() || !ends_.empty(); }));
  // The address is ours by now, so that no peer has it...
  Device port;
  port.name = "wan0";
  port.addresses = {*Prefix::parse("192.0.2.7/24")};
  node->configure(config, {.own_key = {}, .devices = {port}});
  peer.endpoint = "0xc0000208:51820";
  config.peers.push_back(peer);
  config.peers.back().public_key = key(2);
  node->configure(config, {.own_key = {}, .devices = {port}});
  const auto second = [&] { return !states_.empty() && states_.back().endpoints.contains(key(2)); };
  ASSERT_TRUE(io::run_until(*loop_, [&] { return second() || !ends_.empty(); }));
  EXPECT_FALSE(states_.back().endpoints.contains(key(1)));
  // ... and then no longer.
  node->configure(config, {});
  config.peers[0].endpoint = "0xc0000207:51821";
  node->configure(config, {});
  ASSERT_TRUE(io::run_until(
      *loop_, [&] { return states_.back().endpoints.contains(key(1)) || !ends_.empty(); }));
  EXPECT_EQ(states_.back().endpoints.at(key(1)), *Endpoint::parse("192.0.2.7:51821"));
  EXPECT_TRUE(ends_.empty());
}

TEST_F(agent_end, hears_of_its_death_once) {
  const auto node = start(kProgram);
  ASSERT_NE(node, nullptr);
  ::kill(node->pid(), SIGKILL);
  ASSERT_TRUE(io::run_until(*loop_, [&] { return !ends_.empty(); }));
  io::settle(*loop_);
  EXPECT_EQ(ends_.size(), 1U);
}

}  // namespace
}  // namespace sallyport
