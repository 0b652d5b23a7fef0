// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/userspace_wg/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <variant>

#include "agent/base/fd.h"
#include "agent/base/overloaded.h"
#include "agent/base/text.h"
#include "tests/support/userspace_wg/uapi.h"

namespace sallyport::userspace_wg {
namespace {

// An abstract address, so it belongs to its network namespace, as the kernel's WireGuard does.
constexpr char kAddress[] = "\0sallyport-userspace-wireguard";
constexpr std::string_view kEnd = "errno=";

Result<Fd> connect() {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, kAddress, sizeof kAddress - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof kAddress - 1);
  if (::connect(socket.raw(), reinterpret_cast<const sockaddr*>(&to), length) != 0) {
    return fail(errno, "find the userspace WireGuard of this namespace");
  }
  return socket;
}

/// The lines of the answer. One connection a question.
Result<std::string> ask(const std::string& verb, const std::string& device,
                        const std::string& lines = {}) {
  const std::string doing = verb + " " + device;
  const Fd socket = TRY(connect());
  const std::string question = doing + "\n" + lines;
  for (size_t at = 0; at < question.size();) {
    const ssize_t n =
        ::send(socket.raw(), question.data() + at, question.size() - at, MSG_NOSIGNAL);
    if (n < 0) return fail(errno, doing);
    at += static_cast<size_t>(n);
  }
  ::shutdown(socket.raw(), SHUT_WR);
  std::string answer;
  std::array<char, 65536> buffer{};
  ssize_t n = 0;
  while ((n = ::recv(socket.raw(), buffer.data(), buffer.size(), 0)) > 0) {
    answer.append(buffer.data(), static_cast<size_t>(n));
  }
  const size_t end = n < 0 ? std::string::npos : answer.rfind(kEnd);
  int number = EPROTO;
  if (end != std::string::npos) {
    const char* const digits = answer.data() + end + kEnd.size();
    std::from_chars(digits, answer.data() + answer.size(), number);
  }
  if (number != 0)
    return fail(number, doing + ", answered " + quote(answer.substr(std::min(end, answer.size()))));
  answer.resize(end);
  return answer;
}

Result<void> order(const std::string& verb, const std::string& device,
                   const std::string& lines = {}) {
  TRY(ask(verb, device, lines));
  return {};
}

bool is(const Error& error, std::errc what) { return error.code == what; }

Result<void> change_peer(const Operation& step) {
  return std::visit(
      Overloaded{[](const SetPeer& s) { return order("set", s.device, to_lines(s)); },
                 [](const RemovePeer& s) { return order("set", s.device, to_lines(s)); },
                 [](const auto&) -> Result<void> { return fail(EINVAL, "change a peer"); }},
      step);
}

}  // namespace

bool Client::is_there() { return connect().has_value(); }

Result<std::optional<WgObserved>> Client::observe(const std::string& device) {
  const auto answer = ask("get", device);
  if (!answer && is(answer.error(), std::errc::no_such_device)) return std::optional<WgObserved>{};
  if (!answer) return Fail{answer.error()};
  return std::optional{TRY(observed_from(device, *answer))};
}

Result<std::optional<WgDevice>> Client::dump(const std::string& device) {
  auto seen = TRY(observe(device));
  if (!seen) return std::optional<WgDevice>{};
  return std::optional{std::move(seen->device)};
}

Result<void> Client::create_link(const CreateLink& step) {
  auto done = order("create", step.device);
  if (!done && is(done.error(), std::errc::file_exists)) return {};
  return done;
}

Result<void> Client::delete_link(const DeleteLink& step) {
  auto done = order("delete", step.device);
  if (!done && is(done.error(), std::errc::no_such_device)) return {};
  return done;
}

Result<void> Client::set_device(const SetDevice& step) {
  return order("set", step.device, to_lines(step));
}

std::vector<Failure> Client::change_peers(std::span<const Operation> steps) {
  std::vector<Failure> failures;
  for (size_t i = 0; i < steps.size(); ++i) {
    auto done = change_peer(steps[i]);
    if (!done) failures.push_back({i, std::move(done).error()});
  }
  return failures;
}

}  // namespace sallyport::userspace_wg
