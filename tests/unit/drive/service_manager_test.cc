// SPDX-License-Identifier: BSD-3-Clause
// The agent's side of a service manager, against one that keeps descriptors over a restart.
#include "agent/drive/agent/service_manager.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/supervisor.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;
using test::Supervisor;

Fd pipe_with(std::string_view text) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd in(ends[1]);
  EXPECT_EQ(::write(in.raw(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return Fd(ends[0]);
}
std::string read_from(const Fd& fd) {
  std::array<char, 64> text{};
  const ssize_t size = ::read(fd.raw(), text.data(), text.size());
  return size < 0 ? "no descriptor" : std::string(text.data(), static_cast<size_t>(size));
}

/// No child of the service's may take these for its own.
bool nothing_is_left() {
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS",
                           "LISTEN_PID", "LISTEN_FDNAMES"}) {
    if (std::getenv(name) != nullptr) return false;
  }
  return true;
}

TEST(service_manager, hears_what_we_say) {
  Supervisor supervisor;
  supervisor.start([] {
    const ServiceManager manager = ServiceManager::from_environment();
    if (!nothing_is_left() || manager.watchdog()) return 1;
    manager.notify("READY=1\nSTATUS=serving");
    manager.notify("STOPPING=1");
    return 0;
  });
  EXPECT_EQ(supervisor.hear(), "READY=1\nSTATUS=serving");
  EXPECT_EQ(supervisor.hear(), "STOPPING=1");
  EXPECT_EQ(supervisor.wait(), 0);
}

TEST(service_manager, keeps_descriptors_by_name_over_a_restart) {
  Supervisor supervisor;
  supervisor.start([] {
    const ServiceManager manager = ServiceManager::from_environment();
    const Fd one = pipe_with("one");
    const Fd two = pipe_with("two");
    const Fd three = pipe_with("three");
    manager.store(one.raw(), "control");
    manager.store(two.raw(), "gone");
    manager.store(three.raw(), "metrics");
    manager.forget("gone");
    manager.notify("READY=1");
    return 0;
  });
  ASSERT_TRUE(supervisor.hear_until("READY=1"));
  ASSERT_EQ(supervisor.wait(), 0);
  ASSERT_EQ(supervisor.kept().size(), 2U);

  supervisor.start([] {
    ServiceManager manager = ServiceManager::from_environment();
    if (!nothing_is_left()) return 1;
    const std::vector<StoredFd> stored = manager.take_stored();
    if (stored.size() != 2) return 2;
    if (stored[0].name != "control" || read_from(stored[0].fd) != "one") return 3;
    if (stored[1].name != "metrics" || read_from(stored[1].fd) != "three") return 4;
    const int flags = ::fcntl(stored[0].fd.raw(), F_GETFD);
    return (flags & FD_CLOEXEC) != 0 ? 0 : 5;
  });
  EXPECT_EQ(supervisor.wait(), 0);
}

TEST(service_manager, tells_how_often_it_wants_to_hear) {
  Supervisor supervisor;
  supervisor.set_watchdog(1500ms);
  supervisor.start([] {
    const ServiceManager manager = ServiceManager::from_environment();
    manager.notify("WATCHDOG=1");
    return manager.watchdog() == 1500ms && nothing_is_left() ? 0 : 1;
  });
  EXPECT_TRUE(supervisor.hear_until("WATCHDOG=1"));
  EXPECT_EQ(supervisor.wait(), 0);
}

TEST(service_manager, takes_nothing_that_was_meant_for_another_process) {
  Supervisor supervisor;
  supervisor.set_watchdog(1500ms);
  supervisor.start([] {
    ::setenv("WATCHDOG_PID", "1", 1);
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_PID", "1", 1);
    ServiceManager manager = ServiceManager::from_environment();
    return !manager.watchdog() && manager.take_stored().empty() && nothing_is_left() ? 0 : 1;
  });
  EXPECT_EQ(supervisor.wait(), 0);
}

TEST(service_manager, nonsense_is_nobody) {
  Supervisor supervisor;
  supervisor.start([] {
    ::setenv("NOTIFY_SOCKET", std::string(300, 'x').c_str(), 1);
    ::setenv("WATCHDOG_USEC", "-1", 1);
    ::setenv("LISTEN_FDS", "9999999", 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ServiceManager manager = ServiceManager::from_environment();
    manager.notify("READY=1");
    return !manager.watchdog() && manager.take_stored().empty() ? 0 : 1;
  });
  EXPECT_EQ(supervisor.wait(), 0);
}

}  // namespace
}  // namespace sallyport
