// SPDX-License-Identifier: BSD-3-Clause
/// The reference's control server (tests/interop/reference) as a child process that obeys lines.
#pragma once

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/io/stream.h"
#include "tests/unit/io/drive.h"

namespace sallyport::interop {

using Json = nlohmann::json;

/// Ends the test: skipped where the program cannot be had, failed where it has to be.
inline bool no_reference() {
  const char* const program = std::getenv("SALLYPORT_REFERENCE");
  return program == nullptr || *program == 0;
}
inline std::string why_no_reference() {
  const char* const why = std::getenv("SALLYPORT_NO_REFERENCE");
  return why == nullptr ? "SALLYPORT_REFERENCE names no program: run by tests/run" : why;
}

/// Its tests are skipped where there is no reference; with CI=true they fail.
class WithReference : public testing::Test {
 protected:
  void SetUp() override {
    if (!no_reference()) return;
    const char* const ci = std::getenv("CI");
    if (ci != nullptr && std::string_view(ci) == "true") FAIL() << why_no_reference();
    GTEST_SKIP() << why_no_reference();
  }
  template <class Predicate>
  bool until(Predicate&& done) {
    return io::run_until(*loop_, done);
  }

  std::unique_ptr<io::Loop> loop_ = io::make_loop();
};

class Reference {
 public:
  Reference(io::Loop& loop, std::vector<std::string> options) : loop_(loop) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    options.insert(options.begin(), std::getenv("SALLYPORT_REFERENCE"));
    std::vector<char*> argv;
    for (std::string& option : options) argv.push_back(option.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    stream_ = *io::Stream::adopt(loop, Fd(ends[0]),
                                 {.on_data = [this](ByteView bytes) { said_ += io::text(bytes); },
                                  .on_end = [this](const std::optional<Error>&) { ended_ = true; }},
                                 size_t{4} * 1024 * 1024);
    const Json about = next_line();
    control_url = about["control"];
    derp_map = about["derp_map"];
  }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  ~Reference() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// The answer's "ok"; the loop runs meanwhile.
  Json ask(const std::string& line) {
    EXPECT_EQ(stream_.write(io::view(line + "\n")), io::Offer::kTaken);
    Json answer = next_line();
    EXPECT_FALSE(answer.contains("error")) << line << ": " << answer.dump();
    return answer.contains("ok") ? answer["ok"] : Json{};
  }

  std::string control_url;
  Json derp_map;

 private:
  Json next_line() {
    EXPECT_TRUE(
        io::run_until(loop_, [this] { return said_.find('\n') != std::string::npos || ended_; }));
    const size_t end = said_.find('\n');
    if (end == std::string::npos) {
      ADD_FAILURE() << "the reference is gone";
      return Json::object();
    }
    const std::string line = said_.substr(0, end);
    said_.erase(0, end + 1);
    Json json = Json::parse(line, nullptr, false);
    EXPECT_TRUE(json.is_object()) << line;
    return json;
  }

  io::Loop& loop_;
  pid_t pid_ = -1;
  std::string said_;
  bool ended_ = false;
  io::Stream stream_;
};

}  // namespace sallyport::interop
