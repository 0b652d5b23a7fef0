// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/control_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/log.h"

namespace sallyport {
namespace {

// A listing of a full flow table is tens of megabytes.
constexpr size_t kAnswerQueue = size_t{256} << 20;

bool is_root_or_us(int socket) {
  const auto peer = io::peer_credentials(socket);
  return peer && (peer->uid == 0 || peer->uid == ::geteuid());
}

Json error_json(const ControlRefusal& refusal) {
  Json more = Json::array();
  for (const InputError& error : refusal.more) more.push_back(error.text());
  return {{"v", 1},
          {"error",
           {{"code", static_cast<int>(refusal.code)},
            {"message", refusal.what.message},
            {"file", refusal.what.where.file},
            {"line", refusal.what.where.line},
            {"column", refusal.what.where.column},
            {"hint", refusal.what.hint},
            {"more", std::move(more)}}}};
}

std::string line_of(const Json& answer) {
  // What a peer or a file named is text for a person: bytes that are no UTF-8 are replaced.
  return answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// To somebody who is not heard: what the socket takes at once, and no more.
void turn_away(int socket, const ControlRefusal& why) {
  const std::string text = line_of(error_json(why));
  [[maybe_unused]] const ssize_t sent =
      ::send(socket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

ControlRefusal bad_request(std::string message) {
  return {ExitCode::kUsage, {{}, std::move(message), "is `sallyport` of another version?"}, {}};
}

}  // namespace

ControlRefusal refusal_of(ExitCode code, std::vector<InputError> errors) {
  ControlRefusal out{code, {}, {}};
  if (errors.empty()) return out;
  out.what = std::move(errors.front());
  out.more.assign(std::make_move_iterator(errors.begin() + 1),
                  std::make_move_iterator(errors.end()));
  return out;
}

struct ControlServer::Client {
  io::Stream stream;
  std::string request;
  bool carried_out = false;
  bool follows = false;

  bool write(const Json& line) {
    const std::string text = line_of(line);
    return stream.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}) ==
           io::Offer::kTaken;
  }
};

ControlServer::ControlServer(io::Loop& loop, Handler handler, Handover handover)
    : loop_(loop), handler_(std::move(handler)), handover_(std::move(handover)) {}

ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::create(io::Loop& loop, Fd listener,
                                                             Handler handler, Handover handover) {
  std::unique_ptr<ControlServer> server(
      new ControlServer(loop, std::move(handler), std::move(handover)));
  server->listener_ =
      TRY(io::Listener::adopt(loop, std::move(listener), [self = server.get()](Fd connection) {
        self->accept(std::move(connection));
      }));
  return server;
}

void ControlServer::accept(Fd connection) {
  if (!is_root_or_us(connection.raw())) {
    return turn_away(connection.raw(),
                     {ExitCode::kRefused, {{}, "only root is answered", "try it with sudo"}, {}});
  }
  if (clients_.size() >= kMostClients) {
    return turn_away(connection.raw(),
                     {ExitCode::kFailed,
                      {{}, "the agent answers too many others", "end some `sallyport drops -f`"},
                      {}});
  }
  auto client = std::make_unique<Client>();
  Client* self = client.get();
  auto stream =
      io::Stream::adopt(loop_, std::move(connection),
                        {.on_data = [this, self](ByteView bytes) { on_data(*self, bytes); },
                         .on_end = [this, self](const std::optional<Error>&) { drop(*self); }},
                        kAnswerQueue);
  if (!stream) {
    log_warning("cli_connection_lost why={}", stream.error().text());
    return;
  }
  client->stream = std::move(*stream);
  clients_.push_back(std::move(client));
}

void ControlServer::drop(Client& client) {
  std::erase_if(clients_, [&](const auto& each) { return each.get() == &client; });
}

void ControlServer::on_data(Client& client, ByteView bytes) {
  if (client.carried_out) return;
  client.request.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t end = client.request.find('\n');
  if (end == std::string::npos && client.request.size() <= kLongestRequest) return;
  client.carried_out = true;
  if (!carry_out(client, client.request.substr(0, end))) return drop(client);
  if (!client.follows) client.stream.shutdown();
}

bool ControlServer::carry_out(Client& client, const std::string& line) {
  const Json request = Json::parse(line, nullptr, false);
  if (!request.is_object() || !request.contains("verb") || !request["verb"].is_string()) {
    client.write(error_json(bad_request("the request is not a JSON object with a verb")));
    return true;
  }
  const std::string verb = request["verb"];
  if (verb == "drops-follow") {
    client.follows = true;
    return true;
  }
  const Json args = request.value("args", Json::object());
  const TakeConnection take = [&client] { return client.stream.detach(); };
  if (handover_ && args.is_object() && handover_(verb, args, take)) return false;
  const ControlAnswer answer = answer_to(verb, args);
  if (!answer) {
    client.write(error_json(answer.error()));
    return true;
  }
  Json whole{{"v", 1}};
  whole.update(*answer);
  if (!client.write(whole)) {
    client.write(
        error_json({ExitCode::kFailed, {{}, "the answer is too large", "ask for less"}, {}}));
  }
  return true;
}

// A handler takes a member for what it should be; the library throws if it is not.
ControlAnswer ControlServer::answer_to(const std::string& verb, const Json& args) const {
  if (!args.is_object()) return Fail{bad_request("the arguments are no JSON object")};
  try {
    return handler_(verb, args);
  } catch (const Json::type_error&) {
    return Fail{bad_request("an argument of \"" + verb + "\" is of the wrong type")};
  }
}

bool ControlServer::has_followers() const {
  return std::ranges::any_of(clients_, &Client::follows);
}

void ControlServer::publish(const Json& line) {
  Json whole{{"v", 1}};
  whole.update(line);
  for (const auto& client : clients_) {
    if (client->follows) client->write(whole);
  }
}

}  // namespace sallyport
