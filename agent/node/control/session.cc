// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/session.h"

#include <algorithm>
#include <utility>

#include "agent/base/version.h"
#include "agent/node/control/saved.h"
#include "agent/wire/tailcfg/server_key.h"

namespace sallyport::control {
namespace {

Identity stored_identity(const std::string& text, const std::string& url, RandomSource& random) {
  const auto saved = parse_saved_keys(text);
  return saved && saved->url == url ? saved->identity : Identity::make(random);
}

void append(Actions& out, Actions more) { std::ranges::move(more, std::back_inserter(out)); }

}  // namespace

Hostinfo own_hostinfo(std::string hostname) {
  Hostinfo hostinfo;
  hostinfo.ipn_version = kVersion;
  hostinfo.os = "linux";
  hostinfo.app = "sallyport";
  hostinfo.hostname = std::move(hostname);
  hostinfo.no_logs_no_support = true;
  return hostinfo;
}

Session::Session(Config config, const Stored& stored, RandomSource& random, Moment at)
    : config_(std::move(config)),
      random_(random),
      login_({config_.auth_key, config_.ephemeral},
             stored_identity(stored.keys, config_.url.text(), random), random) {
  auto saved = parse_saved_netmap(stored.netmap);
  if (!saved || saved->url != config_.url.text() ||
      saved->node_key != identity().node.public_key()) {
    return;
  }
  // A clock that was behind when we saved, or is now, makes no netmap old.
  const Duration age = std::max(at.wall - saved->confirmed, Duration{0});
  if (age >= config_.max_netmap_age) return;
  auto frame = whole_frame(saved->netmap);
  if (!serving_.apply(std::move(frame), at.wall)) return;
  confirmed_ = saved->confirmed;
  stale_at_ = at.now + (config_.max_netmap_age - age);
}

Actions Session::start(Moment at) {
  Actions out;
  if (phase_ != Phase::kStopped) return out;
  save_keys(out);
  if (identity().registered && !key_in_use_) {
    key_in_use_ = identity().node;
    out.push_back(UseNodeKey{identity().node});
  }
  if (netmap().self) out.push_back(NetmapChanged{{}, true});
  phase_ = Phase::kWaiting;
  retry_at_ = at.now;
  advance(at, out);
  return out;
}

Actions Session::stop() {
  Actions out;
  disconnect(out);
  phase_ = Phase::kStopped;
  return out;
}

Actions Session::set_node(NodeInfo info, Moment at) {
  Actions out;
  if (info == info_) return out;
  info_ = std::move(info);
  lite_wanted_ = true;
  advance(at, out);
  return out;
}

Actions Session::login(Moment at) {
  Actions out;
  if (identity().registered) {
    login_.rotate();
  } else {
    login_.start_over();
  }
  save_keys(out);
  registered_ = false;
  register_at_ = at.now;
  if (link_) {
    // The poll was for the old key.
    disconnect(out);
    phase_ = Phase::kWaiting;
  }
  backoff_.reset();
  retry_at_ = at.now;
  if (phase_ == Phase::kStopped) phase_ = Phase::kWaiting;
  advance(at, out);
  return out;
}

Actions Session::logout(Moment at) {
  Actions out;
  logout_wanted_ = true;
  registered_ = false;
  register_at_ = at.now;
  retry_at_ = at.now;
  if (phase_ == Phase::kStopped) phase_ = Phase::kWaiting;
  if (link_ && link_->registration) {
    link_->channel.cancel(link_->registration->stream);
    link_->registration.reset();
  }
  advance(at, out);
  return out;
}

Actions Session::on_network_changed(Moment at) {
  Actions out;
  backoff_.reset();
  if (phase_ == Phase::kWaiting) retry_at_ = at.now;
  advance(at, out);
  return out;
}

void Session::advance(Moment at, Actions& out) {
  if (phase_ == Phase::kWaiting && retry_at_ <= at.now) begin(at, out);
  if (phase_ == Phase::kOnline) run_calls(at, out);
}

void Session::begin(Moment at, Actions& out) {
  if (!server_key_) {
    phase_ = Phase::kFetchingKey;
    const ControlUrl& url = config_.url;
    key_exchange_.emplace(
        new_id(),
        http::Request{.method = "GET",
                      .target = url.path + "/key?v=" + std::to_string(kCapabilityVersion),
                      .fields = {{"Host", url.authority()}, {"Connection", "close"}}},
        http::Limits{.head_bytes = 16 * 1024, .body_bytes = tailcfg::kMaxServerKeys}, at.now);
    out.push_back(
        Connect{key_exchange_->id(), url.host, {url.tls ? Wrap::kTls : Wrap::kPlain, url.port}});
    return;
  }
  phase_ = Phase::kDialling;
  dial_.emplace(
      config_.url, [this] { return new_id(); },
      [this] {
        return Channel(config_.url, identity().machine, *server_key_, clamped(random_.bytes<32>()));
      });
  after_dial(dial_->start(at.now), at, out);
}

void Session::on_key_answer(const Result<std::optional<http::Response>, std::string>& answer,
                            Moment at, Actions& out) {
  if (answer && !*answer) return;  // more is to come
  if (!answer) return lose("the server's key: " + answer.error(), at, out);
  out.push_back(CloseConnection{key_exchange_->id()});
  key_exchange_.reset();
  if ((*answer)->status != 200) {
    return lose("the server's key: status " + std::to_string((*answer)->status), at, out);
  }
  const auto keys = tailcfg::parse_server_keys((*answer)->body);
  if (!keys) return lose("the server's key: " + keys.error().text(), at, out);
  if (keys->public_key.is_zero()) return lose("the server is too old", at, out);
  server_key_ = keys->public_key;
  begin(at, out);
}

void Session::after_dial(Actions dial_actions, Moment at, Actions& out) {
  append(out, std::move(dial_actions));
  if (auto won = dial_->take_winner()) {
    dial_.reset();
    phase_ = Phase::kOnline;
    link_.emplace(won->id, std::move(won->channel));
    error_.clear();
    out.push_back(Note{"control.connected", config_.url.text()});
    on_events(won->events, at, out);
    return;
  }
  if (!dial_->lost()) return;
  const Dial::Lost lost = *dial_->lost();
  if (lost.wrong_key) server_key_.reset();
  lose(lost.why, at, out);
}

void Session::disconnect(Actions& out) {
  if (key_exchange_) out.push_back(CloseConnection{key_exchange_->id()});
  if (dial_) append(out, dial_->abandon());
  if (link_) out.push_back(CloseConnection{link_->id});
  for (const Exchange& ping : pings_) out.push_back(CloseConnection{ping.id()});
  key_exchange_.reset();
  dial_.reset();
  link_.reset();
  pings_.clear();
}

void Session::lose(const std::string& why, Moment at, Actions& out) {
  disconnect(out);
  phase_ = Phase::kWaiting;
  retry_at_ = at.now + backoff_.next(random_);
  error_ = why;
  out.push_back(Note{"control.lost", why});
  // After a reboot nobody else may be there to tell what has changed lately.
  if (!save_at_ || *save_at_ > at.now + kSaveAfter) return;
  save_at_ = at.now;
  save_if_due(at, out);
}

Exchange* Session::ping_of(ConnectionId id) {
  const auto found = std::ranges::find(pings_, id, &Exchange::id);
  return found == pings_.end() ? nullptr : &*found;
}

Actions Session::on_connected(ConnectionId id, Moment at) {
  Actions out;
  if (key_exchange_ && key_exchange_->id() == id) {
    out.push_back(key_exchange_->on_connected());
  } else if (const Exchange* ping = ping_of(id)) {
    out.push_back(ping->on_connected());
  } else if (dial_) {
    after_dial(dial_->on_connected(id, at.now), at, out);
  }
  advance(at, out);
  return out;
}

Actions Session::on_bytes(ConnectionId id, ByteView bytes, Moment at) {
  Actions out;
  if (key_exchange_ && key_exchange_->id() == id) {
    on_key_answer(key_exchange_->on_bytes(bytes), at, out);
  } else if (Exchange* ping = ping_of(id)) {
    const auto answer = ping->on_bytes(bytes);
    if (!answer || *answer) {
      out.push_back(CloseConnection{id});
      std::erase_if(pings_, [&](const Exchange& p) { return p.id() == id; });
    }
  } else if (dial_) {
    after_dial(dial_->on_bytes(id, bytes, at.now), at, out);
  } else if (link_ && link_->id == id) {
    const auto events = link_->channel.receive(bytes);
    if (events) {
      on_events(*events, at, out);
    } else {
      lose(events.error().why, at, out);
    }
  }
  advance(at, out);
  return out;
}

Actions Session::on_closed(ConnectionId id, const std::string& why, Moment at) {
  Actions out;
  if (key_exchange_ && key_exchange_->id() == id) {
    if (why.empty()) {
      on_key_answer(key_exchange_->on_end(), at, out);
    } else {
      lose("the server's key: " + why, at, out);
    }
  } else if (ping_of(id) != nullptr) {
    std::erase_if(pings_, [&](const Exchange& p) { return p.id() == id; });
  } else if (link_ && link_->id == id) {
    lose(why.empty() ? "the server closed the connection" : why, at, out);
  } else if (dial_) {
    after_dial(dial_->on_closed(id, why.empty() ? "closed" : why, at.now), at, out);
  }
  advance(at, out);
  return out;
}

Actions Session::on_wake(Moment at) {
  Actions out;
  if (key_exchange_ && key_exchange_->deadline() <= at.now) {
    lose("the server's key: no answer", at, out);
  }
  if (dial_) after_dial(dial_->on_wake(at.now), at, out);
  std::erase_if(pings_, [&](const Exchange& ping) {
    if (ping.deadline() > at.now) return false;
    out.push_back(CloseConnection{ping.id()});
    return true;
  });
  if (link_) check_calls(at, out);
  check_age(at, out);
  save_if_due(at, out);
  advance(at, out);
  return out;
}

std::optional<Instant> Session::next_wake() const {
  std::optional<Instant> next;
  const auto by = [&](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  if (phase_ == Phase::kWaiting) by(retry_at_);
  if (key_exchange_) by(key_exchange_->deadline());
  if (dial_) by(dial_->next_wake());
  for (const Exchange& ping : pings_) by(ping.deadline());
  if (link_) {
    const Link& link = *link_;
    by(link.registration ? std::optional{link.registration->deadline}
                         : (registered_ ? std::nullopt : std::optional{register_at_}));
    if (link.poll) by(link.poll->poll.deadline());
    if (registered_ && !link.poll) by(poll_at_);
    if (link.lite) by(link.lite->deadline);
    if (link.poll && lite_wanted_ && !link.lite) by(lite_at_);
    by(key_expires_at_);
  }
  by(stale_at_);
  by(save_at_);
  return next;
}

void Session::check_age(Moment at, Actions& out) {
  if (!stale_at_ || *stale_at_ > at.now) return;
  stale_at_.reset();
  serving_ = {};
  out.push_back(Note{"netmap.dropped", "the server has not confirmed it for too long"});
  out.push_back(NetmapChanged{{}, true});
}

void Session::save_if_due(Moment at, Actions& out) {
  if (!save_at_ || *save_at_ > at.now) return;
  save_at_ = at.now + kSaveAnyway;
  if (!netmap().self) return;
  out.push_back(SaveNetmap{write_saved_netmap(
      {config_.url.text(), identity().node.public_key(), confirmed_, netmap()})});
}

void Session::save_keys(Actions& out) const {
  out.push_back(SaveKeys{write_saved_keys({config_.url.text(), identity()})});
}

SessionStatus Session::status() const {
  SessionStatus status;
  status.connected = link_.has_value() && link_->poll && link_->poll->applied;
  status.last_frame = last_frame_;
  status.visit = login_.visit();
  status.error = login_.error().empty() ? error_ : login_.error();
  status.refused_netmap = refused_netmap_;
  status.from_disk = netmap().self && !last_frame_;
  if (phase_ == Phase::kStopped) {
    status.state = identity().registered ? SessionState::kStopped : SessionState::kNeedsLogin;
  } else if (!login_.visit().empty() || !login_.error().empty()) {
    status.state = SessionState::kNeedsLogin;
  } else if (!netmap().self) {
    status.state = SessionState::kStarting;
  } else {
    status.state =
        netmap().self->machine_authorized ? SessionState::kServing : SessionState::kNeedsApproval;
  }
  return status;
}

}  // namespace sallyport::control
