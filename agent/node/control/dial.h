// SPDX-License-Identifier: BSD-3-Clause
/// The race of the ways to a control server's channel. A way has won when the server has proven its
/// key on it, so that whatever else answers on port 80 does no harm.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/node/control/action.h"
#include "agent/node/control/channel.h"

namespace sallyport::control {

/// Head start of the first way. Source: tailscale control/controlhttp/client.go.
constexpr Duration kNextLegAfter = std::chrono::milliseconds(500);
/// Of the whole race.
constexpr Duration kDialTimeout = std::chrono::seconds(10);

class Dial {
 public:
  /// `new_id` numbers connections, `new_channel` makes the channel that one carries.
  Dial(ControlUrl url, std::function<ConnectionId()> new_id, std::function<Channel()> new_channel);

  Actions start(Instant now);
  Actions on_connected(ConnectionId id, Instant now);
  Actions on_bytes(ConnectionId id, ByteView bytes, Instant now);
  Actions on_closed(ConnectionId id, const std::string& why, Instant now);
  Actions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;

  /// Closes whatever is under way.
  Actions abandon();

  struct Won {
    ConnectionId id{};
    Channel channel;
    std::vector<http::Event> events;  // that came with the proof
  };
  /// Once, after a call that brought it about; the other ways are closed then.
  [[nodiscard]] std::optional<Won> take_winner();

  struct Lost {
    std::string why;  // of every way
    bool wrong_key = false;
  };
  /// Nothing is under way any more, and nobody has won.
  [[nodiscard]] const std::optional<Lost>& lost() const { return lost_; }

 private:
  struct Attempt {
    ConnectionId id{};
    Leg leg;
    std::optional<Channel> channel = {};  // from the connection on
  };

  [[nodiscard]] std::vector<Attempt>::iterator find(ConnectionId id);
  Actions begin_next(Instant now);
  Actions give_up(std::vector<Attempt>::iterator attempt, const std::string& why, Instant now);
  void close_all(Actions& actions);

  ControlUrl url_;
  std::function<ConnectionId()> new_id_;
  std::function<Channel()> new_channel_;
  std::vector<Leg> to_try_;
  std::vector<Attempt> attempts_;
  std::optional<Instant> next_leg_;
  Instant deadline_;
  std::optional<Won> won_;
  std::optional<Lost> lost_;
  std::string reasons_;
  bool wrong_key_ = false;
};

}  // namespace sallyport::control
