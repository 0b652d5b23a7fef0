// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/stand_in/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "agent/base/fd.h"

namespace sallyport::stand_in {
namespace {

// One connection a question: whoever answers may come and go between two of them.
Result<Json> ask(const Json& question) {
  const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, kAddress, sizeof kAddress - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof kAddress - 1);
  if (::connect(socket.raw(), reinterpret_cast<const sockaddr*>(&to), length) != 0) {
    return fail(errno, "find the stand-in for WireGuard in this namespace");
  }
  const std::string text = question.dump();
  if (::send(socket.raw(), text.data(), text.size(), MSG_NOSIGNAL) < 0) {
    return fail(errno, "ask the stand-in for WireGuard");
  }
  std::string answer(kMessageBytes, '\0');
  const ssize_t n = ::recv(socket.raw(), answer.data(), answer.size(), 0);
  if (n <= 0) return fail(n == 0 ? ECONNRESET : errno, "hear the stand-in for WireGuard");
  answer.resize(static_cast<size_t>(n));
  return Json::parse(answer);
}

}  // namespace

Result<std::optional<WgObserved>> Client::observe(const std::string& device) {
  return observed_from(TRY(ask(dump_request(device))));
}

Result<std::optional<WgDevice>> Client::dump(const std::string& device) {
  auto seen = TRY(observe(device));
  if (!seen) return std::optional<WgDevice>{};
  return std::optional{std::move(seen->device)};
}

Result<void> Client::one(const Operation& step) {
  const auto refusals = refusals_from(TRY(ask(steps_request({&step, 1}))));
  if (refusals.empty()) return {};
  return fail(refusals.front().error, refusals.front().doing);
}

std::vector<Failure> Client::change_peers(std::span<const Operation> steps) {
  std::vector<Failure> failures;
  const auto answer = ask(steps_request(steps));
  if (!answer) {
    for (size_t i = 0; i < steps.size(); ++i) failures.push_back({i, answer.error()});
    return failures;
  }
  for (const Refusal& one : refusals_from(*answer)) {
    failures.push_back({one.index, fail(one.error, one.doing).error});
  }
  return failures;
}

}  // namespace sallyport::stand_in
