// SPDX-License-Identifier: BSD-3-Clause
/// The agent's ear for `sallyport`: RUN/agent.sock, mode 0600, and only root (or our own user, in
/// tests that are not root) is heard: others are refused, exit code 4. One JSON line in, one or
/// more out, then the connection ends.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "agent/base/exit_code.h"
#include "agent/base/result.h"
#include "agent/io/listener.h"
#include "agent/io/loop.h"
#include "agent/io/stream.h"
#include "agent/model/position.h"

namespace sallyport {

using Json = nlohmann::ordered_json;

/// Why a request was not carried out; becomes the "error" object.
struct ControlRefusal {
  ExitCode code = ExitCode::kFailed;
  InputError what;
  std::vector<InputError> more;
};
/// All complaints about an input: the first one first.
ControlRefusal refusal_of(ExitCode code, std::vector<InputError> errors);
/// `v` is put in front by the server.
using ControlAnswer = Result<Json, ControlRefusal>;

/// The connection of the request that is being carried out.
using TakeConnection = std::function<Result<Fd>()>;

class ControlServer {
 public:
  /// Beyond these a client is told so, and heard no further.
  static constexpr size_t kMostClients = 64;
  static constexpr size_t kLongestRequest = 65536;

  using Handler = std::function<ControlAnswer(const std::string& verb, const Json& args)>;
  /// Is the answer the node's to give? Takes the connection if so, else leaves it.
  using Handover =
      std::function<bool(const std::string& verb, const Json& args, const TakeConnection& take)>;

  /// `listener`: a listening unix socket from io::listen_unix(), or one kept over a restart.
  static Result<std::unique_ptr<ControlServer>> create(io::Loop& loop, Fd listener, Handler handler,
                                                       Handover handover = {});
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  /// To everyone who asked for "drops-follow". One that reads too slowly misses lines.
  void publish(const Json& line);
  [[nodiscard]] bool has_followers() const;

 private:
  struct Client;
  ControlServer(io::Loop& loop, Handler handler, Handover handover);
  void accept(Fd connection);
  void on_data(Client& client, ByteView bytes);
  /// False: the connection is another process's now.
  bool carry_out(Client& client, const std::string& line);
  [[nodiscard]] ControlAnswer answer_to(const std::string& verb, const Json& args) const;
  void drop(Client& client);

  io::Loop& loop_;
  Handler handler_;
  Handover handover_;
  io::Listener listener_;
  std::list<std::unique_ptr<Client>> clients_;
};

}  // namespace sallyport
