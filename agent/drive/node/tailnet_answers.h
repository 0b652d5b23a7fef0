// SPDX-License-Identifier: BSD-3-Clause
/// What a joined node answers to `sallyport`. The agent hands it the connection, so that no name of
/// a stranger's goes through the privileged process.
#pragma once

#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/base/exit_code.h"
#include "agent/base/fd.h"
#include "agent/drive/node/tailnet.h"
#include "agent/io/loop.h"
#include "agent/io/stream.h"
#include "agent/io/timer.h"

namespace sallyport {

class TailnetAnswers {
 public:
  using Json = nlohmann::ordered_json;
  static constexpr size_t kMostClients = 64;

  /// `tailnet` outlives it.
  TailnetAnswers(io::Loop& loop, Tailnet& tailnet);
  TailnetAnswers(const TailnetAnswers&) = delete;
  TailnetAnswers& operator=(const TailnetAnswers&) = delete;
  ~TailnetAnswers();

  /// See channel::Serve. A connection that cannot be served is closed.
  void serve(Fd connection, const Fd& request);

 private:
  struct Client;
  void carry_out(Client& client, const Json& request);
  void answer(Client& client, const Json& answer);
  void refuse(Client& client, ExitCode code, const std::string& message, const std::string& hint);
  void ping(Client& client, const Json& args);
  void ping_once(Client& client);
  void drop(Client& client);
  [[nodiscard]] Client* find(uint64_t id);

  [[nodiscard]] Json status(Json agent) const;
  [[nodiscard]] Json peers(const Json& agent) const;
  [[nodiscard]] Json peer_json(const NetmapNode& peer, const Json& counted) const;
  [[nodiscard]] Json path_json(const NodeKey& key) const;
  void add_health(Json& health) const;
  [[nodiscard]] const NetmapNode* peer_named(const std::string& text) const;
  [[nodiscard]] std::string user_of(const NetmapNode& node) const;

  io::Loop& loop_;
  Tailnet& tailnet_;
  uint64_t next_id_ = 1;
  std::list<std::unique_ptr<Client>> clients_;
};

}  // namespace sallyport
