// SPDX-License-Identifier: BSD-3-Clause
// What goes on inside the channel: registration, the long poll, lite updates, pings.
#include <algorithm>
#include <charconv>
#include <utility>

#include "agent/node/control/c2n.h"
#include "agent/node/control/saved.h"
#include "agent/node/control/session.h"

namespace sallyport::control {
namespace {

constexpr size_t kRememberedPings = 8;
constexpr size_t kPingsAtOnce = 4;
constexpr size_t kShownBytes = 200;  // of a server's words
/// A poll that lived so long was no failure.
constexpr Duration kGoodPoll = std::chrono::seconds(30);

std::string status_text(unsigned status, const std::string& body) {
  return "status " + std::to_string(status) + " " + body.substr(0, kShownBytes);
}

/// The reference's servers have each request name its node, for the sake of load balancers.
http::Fields fields_for(const NodeKey& node_key) {
  return {{"ts-lb", node_key_text(node_key)}, {"content-type", "application/json"}};
}

}  // namespace

void Session::run_calls(Moment at, Actions& out) {
  if (!link_) return;
  bool asked = true;
  if (!registered_) {
    if (!link_->registration && register_at_ <= at.now) asked = ask_registration(at);
  } else {
    if (!link_->poll && poll_at_ <= at.now) asked = ask_poll(at);
    if (asked && link_->poll && lite_wanted_ && !link_->lite && lite_at_ <= at.now) {
      asked = ask_lite(at);
    }
  }
  if (!asked) return lose("the connection takes no more requests", at, out);
  flush(out);
}

void Session::flush(Actions& out) {
  Bytes bytes = link_->channel.take_outgoing();
  if (!bytes.empty()) out.push_back(SendBytes{link_->id, std::move(bytes)});
}

bool Session::ask_registration(Moment at) {
  const tailcfg::RegisterRequest request =
      logout_wanted_ ? login_.logout_request(info_.hostinfo) : login_.request(info_.hostinfo);
  const auto stream = link_->channel.request("POST", config_.url.path + "/machine/register",
                                             tailcfg::write_register_request(request),
                                             fields_for(request.node_key));
  if (!stream) return false;
  const Duration patience = request.followup.empty() ? kCallTimeout : kVisitTimeout;
  link_->registration = Call{.stream = *stream, .deadline = at.now + patience};
  return true;
}

tailcfg::MapRequest Session::map_request() const {
  tailcfg::MapRequest request;
  request.version = kCapabilityVersion;
  request.compress = "zstd";
  request.keep_alive = true;
  request.node_key = identity().node.public_key();
  request.disco_key = info_.disco_key;
  request.hostinfo = info_.hostinfo;
  return request;
}

Result<http::StreamId> Session::post_map(const tailcfg::MapRequest& request) {
  return link_->channel.request("POST", config_.url.path + "/machine/map",
                                tailcfg::write_map_request(request), fields_for(request.node_key));
}

bool Session::ask_poll(Moment at) {
  tailcfg::MapRequest request = map_request();
  request.stream = true;
  const auto stream = post_map(request);
  if (!stream) return false;
  fresh_ = {};
  link_->poll.emplace(*stream, at.now, Poll(at.now));
  lite_wanted_ = true;  // the server knows of us what it was told before, or nothing
  return true;
}

bool Session::ask_lite(Moment at) {
  tailcfg::MapRequest request = map_request();
  request.endpoints = info_.endpoints;
  request.endpoint_types = info_.endpoint_types;
  request.omit_peers = true;
  const auto stream = post_map(request);
  if (!stream) return false;
  lite_wanted_ = false;
  link_->lite = Call{.stream = *stream, .deadline = at.now + kCallTimeout};
  return true;
}

std::optional<Session::Call>* Session::call_of(http::StreamId stream) {
  if (link_->registration && link_->registration->stream == stream) return &link_->registration;
  if (link_->lite && link_->lite->stream == stream) return &link_->lite;
  return nullptr;
}

void Session::on_events(const std::vector<http::Event>& events, Moment at, Actions& out) {
  for (const http::Event& event : events) {
    if (!link_) return;  // lost by the one before
    std::visit([&](const auto& e) { on_event(e, at, out); }, event);
  }
}

void Session::on_event(const http::Head& head, Moment at, Actions& out) {
  if (auto* call = call_of(head.stream)) {
    (*call)->status = head.status;
    (*call)->fields = head.fields;
    return;
  }
  if (!link_->poll || link_->poll->stream != head.stream || head.status == 200) return;
  link_->channel.cancel(head.stream);
  if (head.status / 100 == 4 && head.status != 429) {
    // It does not know us, or not by this key.
    registered_ = false;
    register_at_ = at.now + backoff_.next(random_);
    login_.on_forgotten();
  }
  end_poll("the map: " + status_text(head.status, {}), at, out);
}

void Session::on_event(const http::Data& data, Moment at, Actions& out) {
  if (auto* call = call_of(data.stream)) {
    if ((*call)->body.size() + data.bytes.size() > tailcfg::kMaxBody) {
      return lose("the server's answer is too long", at, out);
    }
    (*call)->body.append(data.bytes.begin(), data.bytes.end());
    return;
  }
  if (!link_->poll || link_->poll->stream != data.stream) return;
  auto frames = link_->poll->poll.on_data(data.bytes, at.now);
  if (!frames) {
    link_->channel.cancel(data.stream);
    refused_netmap_ = frames.error();
    return end_poll(frames.error(), at, out);
  }
  for (tailcfg::MapResponse& frame : *frames) {
    if (!link_ || !link_->poll) return;
    on_frame(std::move(frame), at, out);
  }
}

void Session::on_event(const http::End& end, Moment at, Actions& out) {
  if (auto* slot = call_of(end.stream)) {
    const bool is_registration = slot == &link_->registration;
    const Call call = *std::exchange(*slot, std::nullopt);
    if (is_registration) return on_registration(call, at, out);
    if (call.status == 200) return;
    lite_wanted_ = true;
    lite_at_ = at.now + (call.status == 429 ? retry_after(call, at.wall) : backoff_.next(random_));
    return;
  }
  if (link_->poll && link_->poll->stream == end.stream) {
    end_poll("the server ended the poll", at, out);
  }
}

void Session::on_event(const http::Reset& reset, Moment at, Actions& out) {
  if (auto* slot = call_of(reset.stream)) {
    const bool is_registration = slot == &link_->registration;
    slot->reset();
    const Instant again = at.now + backoff_.next(random_);
    if (is_registration) {
      register_at_ = again;
    } else {
      lite_wanted_ = true;
      lite_at_ = again;
    }
    return;
  }
  if (link_->poll && link_->poll->stream == reset.stream) {
    end_poll("the server broke off the poll", at, out);
  }
}

void Session::on_event(const http::GoAway& away, Moment at, Actions& out) {
  lose("the server goes away, code " + std::to_string(away.code), at, out);
}

void Session::check_calls(Moment at, Actions& out) {
  Link& link = *link_;
  if (link.registration && link.registration->deadline <= at.now) {
    if (login_.visit().empty()) return lose("registration: no answer", at, out);
    link.channel.cancel(link.registration->stream);
    link.registration.reset();  // nobody has been there yet
  }
  if ((link.lite && link.lite->deadline <= at.now) ||
      (link.poll && link.poll->poll.deadline() <= at.now)) {
    return lose("the server is silent", at, out);
  }
  if (key_expires_at_ && *key_expires_at_ <= at.now) {
    key_expires_at_.reset();
    out.push_back(Note{"control.key_expired", {}});
    login_.rotate();
    save_keys(out);
    registered_ = false;
    register_at_ = at.now;
    if (link.poll) link.channel.cancel(link.poll->stream);
    link.poll.reset();
  }
}

Duration Session::retry_after(const Call& call, WallTime wall) {
  const auto text = http::find(call.fields, "retry-after");
  Duration wait{-1};
  if (text) {
    int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
    if (error == std::errc{} && end == text->data() + text->size() && seconds >= 0 &&
        seconds <= 86400) {
      wait = std::chrono::seconds(seconds);
    } else if (const auto date = http::parse_date(*text)) {
      wait = *date - wall;
    }
  }
  if (wait < Duration{0} || wait > kMaxRetryAfter) {
    return random_.between(kRetryAfterLow, kRetryAfterHigh);
  }
  return wait;
}

void Session::on_registration(const Call& call, Moment at, Actions& out) {
  if (call.status != 200) {
    error_ = "registration: " + status_text(call.status, call.body);
    out.push_back(Note{"control.register_failed", error_});
    register_at_ =
        at.now + (call.status == 429 ? retry_after(call, at.wall) : backoff_.next(random_));
    return;
  }
  if (logout_wanted_) return forget_everything(out);
  const auto response = tailcfg::parse_register_response(call.body);
  if (!response) {
    error_ = "registration: " + response.error().text();
    out.push_back(Note{"control.register_failed", error_});
    register_at_ = at.now + backoff_.next(random_);
    return;
  }
  on_login_step(login_.on_response(*response), at, out);
}

void Session::on_login_step(LoginStep step, Moment at, Actions& out) {
  register_at_ = at.now;
  switch (step) {
    case LoginStep::kRegistered:
      registered_ = true;
      error_.clear();
      poll_at_ = at.now;
      lite_at_ = at.now;
      save_keys(out);
      if (key_in_use_ != identity().node) {
        key_in_use_ = identity().node;
        out.push_back(UseNodeKey{identity().node});
      }
      out.push_back(Note{"control.registered", node_key_text(identity().node.public_key())});
      return;
    case LoginStep::kAgain:
      save_keys(out);
      return;
    case LoginStep::kVisit:
      out.push_back(ShowAuthUrl{login_.visit()});
      return;
    case LoginStep::kWait:
      register_at_ = at.now + backoff_.next(random_);
      return;
    case LoginStep::kRefused:
      out.push_back(Note{"control.refused", login_.error()});
      register_at_ = at.now + backoff_.next(random_);
      return;
  }
}

void Session::forget_everything(Actions& out) {
  logout_wanted_ = false;
  login_.on_logged_out();
  disconnect(out);
  phase_ = Phase::kStopped;
  serving_ = {};
  key_in_use_.reset();
  key_expires_at_.reset();
  stale_at_.reset();
  save_at_.reset();
  save_keys(out);
  out.push_back(SaveNetmap{});
  out.push_back(NetmapChanged{{}, true});
  out.push_back(Note{"control.logged_out", {}});
}

void Session::end_poll(const std::string& why, Moment at, Actions& out) {
  if (at.now - link_->poll->started >= kGoodPoll) backoff_.reset();
  link_->poll.reset();
  poll_at_ = at.now + backoff_.next(random_);
  error_ = why;
  out.push_back(Note{"control.poll_ended", why});
}

void Session::on_frame(tailcfg::MapResponse frame, Moment at, Actions& out) {
  last_frame_ = at.now;
  stale_at_ = at.now + config_.max_netmap_age;
  confirmed_ = at.wall;
  if (at.now - link_->poll->started >= kGoodPoll) backoff_.reset();
  if (frame.ping_request) answer_ping(*frame.ping_request, at, out);

  const bool keepalive = frame.keep_alive;
  const bool whole = !link_->poll->applied && !keepalive;
  NetmapState& state = whole ? fresh_ : serving_;
  auto changes = state.apply(std::move(frame), at.wall);
  if (!changes) {
    // What the server counts from is no longer what we have: only a new poll brings us together.
    refused_netmap_ = changes.error();
    link_->channel.cancel(link_->poll->stream);
    return end_poll("refused: " + changes.error(), at, out);
  }
  if (whole) {
    serving_ = std::exchange(fresh_, {});
    link_->poll->applied = true;
  }
  if (!keepalive) {
    refused_netmap_.clear();
    error_.clear();
  }
  if (whole || changes->any()) on_netmap(std::move(changes).value(), whole, at, out);
}

void Session::on_netmap(NetmapChanges changes, bool whole, Moment at, Actions& out) {
  const auto& self = netmap().self;
  key_expires_at_.reset();
  if (self && self->key_expiry) {
    const WallTime server_now = at.wall + netmap().clock_offset.value_or(Duration{0});
    key_expires_at_ = at.now + (*self->key_expiry - server_now);
  }
  const Instant save = whole ? at.now : at.now + kSaveAfter;
  save_at_ = save_at_ ? std::min(*save_at_, save) : save;
  out.push_back(NetmapChanged{std::move(changes), whole});
  save_if_due(at, out);
}

void Session::answer_ping(const tailcfg::PingRequest& ping, Moment at, Actions& out) {
  if (ping.url.empty() || std::ranges::find(answered_pings_, ping.url) != answered_pings_.end()) {
    return;
  }
  answered_pings_.push_back(ping.url);
  if (answered_pings_.size() > kRememberedPings) answered_pings_.pop_front();

  const auto path = path_of(ping.url);
  if (!path) return;
  if (ping.types == "c2n") {
    // What we say of ourselves goes to the server and to nobody else.
    (void)link_->channel.request("POST", std::string(*path), answer_c2n(ping.payload));
    return;
  }
  if (!ping.types.empty()) return;  // pings of peers are not this machine's
  if (ping.url_is_noise) {
    (void)link_->channel.request("HEAD", std::string(*path), {});
    return;
  }
  // No server makes us knock at other doors than its own.
  const auto url = ControlUrl::parse(ping.url);
  if (!url || url->host != config_.url.host || pings_.size() >= kPingsAtOnce) return;
  pings_.emplace_back(
      new_id(),
      http::Request{.method = "HEAD",
                    .target = std::string(*path),
                    .fields = {{"Host", url->authority()}, {"Connection", "close"}}},
      http::Limits{}, at.now);
  out.push_back(
      Connect{pings_.back().id(), url->host, {url->tls ? Wrap::kTls : Wrap::kPlain, url->port}});
}

}  // namespace sallyport::control
