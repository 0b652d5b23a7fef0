// SPDX-License-Identifier: BSD-3-Clause
// The agent under a service manager that keeps its sockets and watches it. The topology is drawn in
// tests/support/scene/office.h.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <memory>

#include "tests/support/scene/office.h"
#include "tests/support/supervisor.h"

namespace sallyport::scene {
namespace {

using test::Supervisor;

void start(Supervisor& supervisor, const Office& office) {
  supervisor.start([&office] {
    int code = 127;
    const int log = ::open(office.gateway->file("agent.log").c_str(),
                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    // Of the namespace, too, is the manager's socket.
    inside(office.gw, [&] {
      const std::vector<std::string> words = office.gateway->command();
      std::vector<char*> argv;
      argv.reserve(words.size() + 1);
      for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
      argv.push_back(nullptr);
      code = ::execv(argv[0], argv.data());
    });
    return code;
  });
}

std::vector<ino_t> inodes(const Supervisor& supervisor) {
  std::vector<ino_t> out;
  for (const auto& kept : supervisor.kept()) {
    struct stat info{};
    EXPECT_EQ(::fstat(kept.fd.raw(), &info), 0);
    out.push_back(info.st_ino);
  }
  return out;
}

bool hears(Supervisor& supervisor, std::string_view line, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (Clock::now() < end) {
    const auto said = supervisor.hear(limit);
    if (said && said->find(line) != std::string::npos) return true;
  }
  return false;
}

SCENE(agent, supervised) {
  constexpr auto kWatchdog = 4s;
  Office office("supervised");
  office.gateway->configure(office.config("  - {id: all, from: [laptop], to: [lan]}"));
  std::unique_ptr<Supervisor> supervisor;
  inside(office.gw, [&] { supervisor = std::make_unique<Supervisor>(); });
  supervisor->set_watchdog(kWatchdog);

  start(*supervisor, office);
  ASSERT_TRUE(hears(*supervisor, "READY=1", 120s)) << office.gateway->dump();
  EXPECT_EQ(office.gateway->json({"status"}).at("state"), "Running");
  // Both of its listening sockets are kept.
  ASSERT_EQ(supervisor->kept().size(), 2U);
  const std::vector<ino_t> first = inodes(*supervisor);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(hears(*supervisor, "WATCHDOG=1", kWatchdog));

  // A restart: whoever asks meanwhile waits in the kept socket and is answered by the next agent.
  ::kill(supervisor->pid(), SIGTERM);
  EXPECT_TRUE(hears(*supervisor, "STOPPING=1", 30s));
  EXPECT_EQ(supervisor->wait(), 0);
  auto asked = std::async(std::launch::async, [&] { return office.gateway->cli({"status"}); });
  EXPECT_EQ(asked.wait_for(500ms), std::future_status::timeout) << "nobody is there to answer";
  start(*supervisor, office);
  EXPECT_TRUE(hears(*supervisor, "READY=1", 120s)) << office.gateway->dump();
  const Output answer = asked.get();
  EXPECT_EQ(answer.exit, 0) << answer.out << answer.err;
  EXPECT_FALSE(office.gateway->metrics().empty());
  EXPECT_EQ(inodes(*supervisor), first) << "it took what was kept and stored nothing anew";

  // One that hangs is noticed: the manager hears nothing for a whole period.
  EXPECT_TRUE(hears(*supervisor, "WATCHDOG=1", kWatchdog));
  ::kill(supervisor->pid(), SIGSTOP);
  while (supervisor->hear(100ms)) {
  }
  EXPECT_FALSE(hears(*supervisor, "WATCHDOG=1", kWatchdog));
  ::kill(supervisor->pid(), SIGKILL);
  EXPECT_EQ(supervisor->wait(), -SIGKILL);
  start(*supervisor, office);
  EXPECT_TRUE(hears(*supervisor, "READY=1", 120s)) << office.gateway->dump();
  EXPECT_EQ(office.gateway->json({"status"}).at("state"), "Running");
  ::kill(supervisor->pid(), SIGTERM);
  EXPECT_EQ(supervisor->wait(), 0);
}

}  // namespace
}  // namespace sallyport::scene
