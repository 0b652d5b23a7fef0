// SPDX-License-Identifier: BSD-3-Clause
#include "tests/interop/scenes/servant.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>

namespace sallyport::scene {

Servant::Servant(std::vector<std::string> argv, const std::string& netns,
                 const std::string& log_file) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    ADD_FAILURE() << "no socket pair";
    return;
  }
  line_ = Fd(ends[0]);
  const Fd other(ends[1]);
  process_ = std::make_unique<Process>(std::move(argv), netns, log_file,
                                       Process::Ends{other.raw(), other.raw()});
}

std::optional<std::string> Servant::hear(std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  size_t newline = 0;
  while ((newline = said_.find('\n')) == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd one{line_.raw(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&one, 1, static_cast<int>(left.count())) <= 0) return {};
    std::array<char, 65536> buffer{};
    const ssize_t n = ::recv(line_.raw(), buffer.data(), buffer.size(), 0);
    if (n <= 0) return {};
    said_.append(buffer.data(), static_cast<size_t>(n));
  }
  std::string out = said_.substr(0, newline);
  said_.erase(0, newline + 1);
  return out;
}

Answer Servant::order(const std::string& line, std::chrono::milliseconds limit) {
  const std::string text = line + "\n";
  if (::send(line_.raw(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return {{}, "it is gone"};
  const auto said = hear(limit);
  if (!said) return {{}, "no answer"};
  const Json json = Json::parse(*said, nullptr, false);
  if (!json.is_object()) return {{}, "it said " + *said};
  if (json.contains("error")) return {{}, json["error"]};
  return {json.value("ok", Json{}), {}};
}

Json Servant::ask(const std::string& line, std::chrono::milliseconds limit) {
  Answer answer = order(line, limit);
  EXPECT_TRUE(answer) << line << ": " << answer.error;
  return std::move(answer.ok);
}

std::string go_program(const std::string& name) {
  const char* const path = std::getenv(("SALLYPORT_" + name).c_str());
  return path == nullptr ? "" : path;
}

}  // namespace sallyport::scene
