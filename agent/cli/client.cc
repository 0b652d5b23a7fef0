// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/base/fd.h"

namespace sallyport::cli {
namespace {

// An answer of 100,000 flows fits; anything beyond is not ours.
constexpr size_t kLongestLine = 256 << 20;

Complaint unreachable(const std::string& path, int error) {
  if (error == EACCES || error == EPERM) {
    return {ExitCode::kRefused, "only root may ask the agent", {}, 0, 0, "run it with sudo"};
  }
  return {ExitCode::kUnreachable,
          fmt::format("no agent answers at {}: {}", path, std::strerror(error)),
          {},
          0,
          0,
          "is it running? systemctl status sallyport-agent"};
}

Result<Fd, Complaint> connect_to(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return Fail{unreachable(path, ENAMETOOLONG)};
  std::memcpy(to.sun_path, path.data(), path.size());
  if (::connect(socket.raw(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    return Fail{unreachable(path, errno)};
  }
  return socket;
}

}  // namespace

Complaint Complaint::from_json(const Json& error) {
  Complaint out;
  out.code = static_cast<ExitCode>(error.value("code", 1));
  out.message = error.value("message", "");
  out.file = error.value("file", "");
  out.line = error.value("line", 0U);
  out.column = error.value("column", 0U);
  out.hint = error.value("hint", "");
  out.more = error.value("more", std::vector<std::string>());
  return out;
}

Json Complaint::json() const {
  return {{"v", 1},
          {"error",
           {{"code", static_cast<int>(code)},
            {"message", message},
            {"file", file},
            {"line", line},
            {"column", column},
            {"hint", hint}}}};
}

std::string Complaint::text() const {
  std::string out;
  if (!file.empty()) out += line > 0 ? fmt::format("{}:{}:{}: ", file, line, column) : file + ": ";
  out += message;
  if (!hint.empty()) out += "\n  " + hint;
  for (const std::string& other : more) out += "\n" + other;
  return out;
}

Result<void, Complaint> ask(const std::string& run_dir, const std::string& verb, const Json& args,
                            const std::function<bool(const Json&)>& on_answer) {
  const std::string path = run_dir + "/agent.sock";
  const Fd socket = TRY(connect_to(path));
  // A word of the command line may be no UTF-8: the agent then knows no such thing, and says so.
  const std::string request =
      Json{{"verb", verb}, {"args", args}}.dump(-1, ' ', false, Json::error_handler_t::replace) +
      "\n";
  // One that hung up at once has said why.
  if (::send(socket.raw(), request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size()) &&
      errno != EPIPE) {
    return Fail{unreachable(path, errno)};
  }
  std::string buffer;
  bool answered = false;
  for (;;) {
    const size_t end = buffer.find('\n');
    if (end == std::string::npos) {
      std::array<char, 65536> part{};
      const ssize_t n = ::recv(socket.raw(), part.data(), part.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 || buffer.size() > kLongestLine) return Fail{unreachable(path, errno)};
      if (n == 0) break;
      buffer.append(part.data(), static_cast<size_t>(n));
      continue;
    }
    const Json answer =
        Json::parse(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    buffer.erase(0, end + 1);
    if (answer.is_discarded()) return Fail{unreachable(path, EBADMSG)};
    if (answer.contains("error")) return Fail{Complaint::from_json(answer["error"])};
    answered = true;
    if (!on_answer(answer)) return {};
  }
  if (!answered) {
    return Fail{Complaint{ExitCode::kUnreachable,
                          "the agent closed the connection without an answer",
                          {},
                          0,
                          0,
                          "see its log: journalctl -u sallyport-agent"}};
  }
  return {};
}

Result<Json, Complaint> ask_once(const std::string& run_dir, const std::string& verb,
                                 const Json& args) {
  Json out;
  TRY(ask(run_dir, verb, args, [&](const Json& answer) {
    out = answer;
    return false;
  }));
  return out;
}

}  // namespace sallyport::cli
