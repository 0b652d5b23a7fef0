// SPDX-License-Identifier: BSD-3-Clause
/// A node's side of its control server: gets the server's key, dials its channel, registers, and
/// keeps the netmap by a long poll; starts anew, less and less often, when any of that fails. The
/// last netmap stays in force meanwhile, from the disk after a restart, up to an age.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/random.h"
#include "agent/node/control/action.h"
#include "agent/node/control/backoff.h"
#include "agent/node/control/channel.h"
#include "agent/node/control/dial.h"
#include "agent/node/control/exchange.h"
#include "agent/node/control/login.h"
#include "agent/node/control/poll.h"
#include "agent/node/netmap_state.h"
#include "agent/wire/tailcfg/map_request.h"

namespace sallyport::control {

/// A server's answer to a short call.
constexpr Duration kCallTimeout = std::chrono::seconds(30);
/// Somebody has to find the page and log in.
constexpr Duration kVisitTimeout = std::chrono::minutes(10);
/// A netmap that changed is on the disk so much later.
constexpr Duration kSaveAfter = std::chrono::seconds(10);
/// One that did not change is stamped anew, so that its age is that of the last contact.
constexpr Duration kSaveAnyway = std::chrono::hours(6);
/// Retry-After of a server that says nothing or nonsense. Source: tailscale tailcfg, version 137.
constexpr Duration kRetryAfterLow = std::chrono::seconds(5);
constexpr Duration kRetryAfterHigh = std::chrono::seconds(10);
constexpr Duration kMaxRetryAfter = std::chrono::hours(1);

/// What we tell of ourselves. Changes are sent at once, beside the long poll.
struct NodeInfo {
  Hostinfo hostinfo;
  DiscoKey disco_key;
  std::vector<Endpoint> endpoints;
  std::vector<tailcfg::EndpointType> endpoint_types;  // as many
  friend bool operator==(const NodeInfo&, const NodeInfo&) = default;
};
/// The members that name this program and nothing else.
Hostinfo own_hostinfo(std::string hostname);

enum class SessionState : uint8_t {
  kStopped,
  kNeedsLogin,     // a person has to act: status().visit or error
  kNeedsApproval,  // an admin has to
  kStarting,       // no netmap yet
  kServing,        // from the server or, if it is not there, from what it said last
};

struct SessionStatus {
  SessionState state = SessionState::kStopped;
  bool connected = false;
  std::optional<Instant> last_frame;
  std::string visit;           // where to log in
  std::string error;           // why something is not as it should be; maybe a stranger's words
  std::string refused_netmap;  // why the server's last word is not in force
  bool from_disk = false;      // nothing heard from the server since the start
};

class Session {
 public:
  struct Config {
    ControlUrl url;
    std::string auth_key = {};  // empty: none
    bool ephemeral = false;
    Duration max_netmap_age = std::chrono::days(7);
  };
  /// As SaveKeys and SaveNetmap gave them; empty: there is none.
  struct Stored {
    std::string keys;
    std::string netmap;
  };

  Session(Config config, const Stored& stored, RandomSource& random, Moment at);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  Actions start(Moment at);
  /// Leaves the server without a word; the netmap stays.
  Actions stop();
  Actions set_node(NodeInfo info, Moment at);
  /// A new key, by a person's consent.
  Actions login(Moment at);
  /// Tells the server to forget us, then forgets all that came of it.
  Actions logout(Moment at);
  /// What failed may work now.
  Actions on_network_changed(Moment at);

  Actions on_connected(ConnectionId id, Moment at);
  Actions on_bytes(ConnectionId id, ByteView bytes, Moment at);
  /// It ended, or did not come about. `why` is empty if the peer ended it in good order.
  Actions on_closed(ConnectionId id, const std::string& why, Moment at);
  Actions on_wake(Moment at);
  [[nodiscard]] std::optional<Instant> next_wake() const;

  [[nodiscard]] const Netmap& netmap() const { return serving_.netmap(); }
  [[nodiscard]] const Identity& identity() const { return login_.identity(); }
  [[nodiscard]] SessionStatus status() const;

 private:
  enum class Phase : uint8_t { kStopped, kWaiting, kFetchingKey, kDialling, kOnline };
  /// A request inside the channel whose answer is read whole.
  struct Call {
    http::StreamId stream{};
    Instant deadline;
    unsigned status = 0;
    http::Fields fields = {};
    std::string body = {};
  };
  struct PollCall {
    http::StreamId stream{};
    Instant started;
    Poll poll;
    bool applied = false;  // its netmap is in force
  };
  struct Link {
    ConnectionId id{};
    Channel channel;
    std::optional<Call> registration = {};
    std::optional<Call> lite = {};
    std::optional<PollCall> poll = {};
  };

  // session.cc: from nothing to a channel.
  void advance(Moment at, Actions& out);
  void begin(Moment at, Actions& out);
  void on_key_answer(const Result<std::optional<http::Response>, std::string>& answer, Moment at,
                     Actions& out);
  void after_dial(Actions dial_actions, Moment at, Actions& out);
  void lose(const std::string& why, Moment at, Actions& out);
  void disconnect(Actions& out);
  [[nodiscard]] ConnectionId new_id() { return ConnectionId{next_id_++}; }
  void check_age(Moment at, Actions& out);
  void save_if_due(Moment at, Actions& out);
  void save_keys(Actions& out) const;
  Exchange* ping_of(ConnectionId id);

  // session_calls.cc: what goes on inside.
  void run_calls(Moment at, Actions& out);
  void flush(Actions& out);
  void on_events(const std::vector<http::Event>& events, Moment at, Actions& out);
  void on_event(const http::Head& head, Moment at, Actions& out);
  void on_event(const http::Data& data, Moment at, Actions& out);
  void on_event(const http::End& end, Moment at, Actions& out);
  void on_event(const http::Reset& reset, Moment at, Actions& out);
  void on_event(const http::GoAway& away, Moment at, Actions& out);
  [[nodiscard]] std::optional<Call>* call_of(http::StreamId stream);
  [[nodiscard]] bool ask_registration(Moment at);
  void on_registration(const Call& call, Moment at, Actions& out);
  void on_login_step(LoginStep step, Moment at, Actions& out);
  [[nodiscard]] tailcfg::MapRequest map_request() const;
  Result<http::StreamId> post_map(const tailcfg::MapRequest& request);
  [[nodiscard]] bool ask_poll(Moment at);
  [[nodiscard]] bool ask_lite(Moment at);
  void end_poll(const std::string& why, Moment at, Actions& out);
  void on_frame(tailcfg::MapResponse frame, Moment at, Actions& out);
  void on_netmap(NetmapChanges changes, bool whole, Moment at, Actions& out);
  void answer_ping(const tailcfg::PingRequest& ping, Moment at, Actions& out);
  void check_calls(Moment at, Actions& out);
  void forget_everything(Actions& out);
  [[nodiscard]] Duration retry_after(const Call& call, WallTime wall);

  Config config_;
  RandomSource& random_;
  Login login_;
  NodeInfo info_;

  Phase phase_ = Phase::kStopped;
  uint32_t next_id_ = 1;
  Backoff backoff_;
  Instant retry_at_;
  std::optional<MachineKey> server_key_;
  std::optional<Exchange> key_exchange_;
  std::optional<Dial> dial_;
  std::optional<Link> link_;
  std::vector<Exchange> pings_;
  std::deque<std::string> answered_pings_;

  bool registered_ = false;  // since the start
  bool logout_wanted_ = false;
  Instant register_at_;
  Instant poll_at_;
  Instant lite_at_;
  bool lite_wanted_ = false;
  std::optional<PrivateKey> key_in_use_;

  NetmapState serving_;
  NetmapState fresh_;  // of a poll whose first frame is to come
  std::optional<Instant> last_frame_;
  std::optional<Instant> stale_at_;  // the netmap is too old then
  std::optional<Instant> key_expires_at_;
  WallTime confirmed_{};
  std::optional<Instant> save_at_;
  std::string error_;
  std::string refused_netmap_;
};

}  // namespace sallyport::control
