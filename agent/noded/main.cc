// SPDX-License-Identifier: BSD-3-Clause
/// sallyport-node: started by the agent only, as its own user, with their socket as descriptor 3.
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "agent/base/log.h"
#include "agent/drive/node/node_driver.h"
#include "agent/drive/node/sandbox.h"

namespace sallyport {
namespace {

constexpr int kAgentFd = 3;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitRefused = 4;
constexpr int kExitUnable = 6;

bool is_seqpacket(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

std::optional<uid_t> parse_user(std::string_view text) {
  uid_t user = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), user);
  if (error != std::errc{} || end != text.data() + text.size() || user == 0) return std::nullopt;
  return user;
}

int run(int count, char** arguments) {
  std::optional<uid_t> user;
  if (count == 3 && std::string_view(arguments[1]) == "--node-user")
    user = parse_user(arguments[2]);
  if ((count != 1 && !user) || !is_seqpacket(kAgentFd)) {
    log_error("usage: sallyport-node is started by sallyport-agent, with their socket as fd 3");
    return kExitUsage;
  }
  const pid_t parent = getppid();
  if (const auto dropped = drop_privileges(user, parent); !dropped) {
    log_error("start.refused why=\"{}\"", dropped.error().text());
    return kExitRefused;
  }
  io::LoopOptions options;
  options.allowed_operations = io::own_operations();
  auto loop = io::Loop::create(options);
  if (!loop) {
    log_error("start.failed why=\"{}\"", loop.error().text());
    return kExitUnable;
  }
  Fd agent(kAgentFd);
  auto opening = read_opening(agent);
  if (!opening) {
    log_error("start.failed why=\"{}\"", opening.error().text());
    return kExitFailed;
  }
  auto driver = NodeDriver::start(**loop, std::move(agent), *std::move(opening));
  if (!driver) {
    log_error("start.failed why=\"{}\"", driver.error().text());
    return kExitUnable;
  }
  // The last thing before a stranger's first byte is read.
  if (const auto closed = close_sandbox(); !closed) {
    log_error("start.failed why=\"{}\"", closed.error().text());
    return kExitUnable;
  }
  if (const auto ran = (*loop)->run(); !ran) {
    log_error("loop.failed why=\"{}\"", ran.error().text());
    return kExitFailed;
  }
  return (*driver)->failed() ? kExitFailed : 0;
}

}  // namespace
}  // namespace sallyport

int main(int count, char** arguments) { return sallyport::run(count, arguments); }
