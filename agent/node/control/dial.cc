// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/dial.h"

#include <algorithm>
#include <utility>

namespace sallyport::control {

Dial::Dial(ControlUrl url, std::function<ConnectionId()> new_id,
           std::function<Channel()> new_channel)
    : url_(std::move(url)), new_id_(std::move(new_id)), new_channel_(std::move(new_channel)) {}

Actions Dial::start(Instant now) {
  to_try_ = noise_legs(url_);
  deadline_ = now + kDialTimeout;
  return begin_next(now);
}

Actions Dial::begin_next(Instant now) {
  const Leg leg = to_try_.front();
  to_try_.erase(to_try_.begin());
  attempts_.push_back({new_id_(), leg});
  next_leg_ = to_try_.empty() ? std::nullopt : std::optional{now + kNextLegAfter};
  return {Connect{attempts_.back().id, url_.host, leg}};
}

std::vector<Dial::Attempt>::iterator Dial::find(ConnectionId id) {
  return std::ranges::find(attempts_, id, &Attempt::id);
}

Actions Dial::on_connected(ConnectionId id, Instant now) {
  const auto attempt = find(id);
  if (attempt == attempts_.end() || attempt->channel) return {};
  attempt->channel.emplace(new_channel_());
  // A key that is none shows before anything is sent.
  if (const auto usable = attempt->channel->receive({}); !usable) {
    wrong_key_ = wrong_key_ || usable.error().wrong_key;
    return give_up(attempt, usable.error().why, now);
  }
  return {SendBytes{id, attempt->channel->take_outgoing()}};
}

Actions Dial::on_bytes(ConnectionId id, ByteView bytes, Instant now) {
  const auto attempt = find(id);
  if (attempt == attempts_.end() || !attempt->channel) return {};
  auto events = attempt->channel->receive(bytes);
  if (!events) {
    wrong_key_ = wrong_key_ || events.error().wrong_key;
    return give_up(attempt, events.error().why, now);
  }
  if (!attempt->channel->established()) return {};
  won_.emplace(id, std::move(*attempt->channel), std::move(events).value());
  attempts_.erase(attempt);
  Actions actions;
  close_all(actions);
  return actions;
}

Actions Dial::on_closed(ConnectionId id, const std::string& why, Instant now) {
  const auto attempt = find(id);
  if (attempt == attempts_.end()) return {};
  if (!reasons_.empty()) reasons_ += "; ";
  reasons_ += "port " + std::to_string(attempt->leg.port) + ": " + why;
  attempts_.erase(attempt);
  if (!to_try_.empty()) return begin_next(now);
  if (attempts_.empty()) lost_ = Lost{reasons_, wrong_key_};
  return {};
}

Actions Dial::give_up(std::vector<Attempt>::iterator attempt, const std::string& why, Instant now) {
  Actions actions{CloseConnection{attempt->id}};
  std::ranges::move(on_closed(attempt->id, why, now), std::back_inserter(actions));
  return actions;
}

Actions Dial::on_wake(Instant now) {
  if (won_ || lost_) return {};
  if (now >= deadline_) {
    Actions actions;
    close_all(actions);
    lost_ = Lost{reasons_.empty() ? "no answer" : reasons_ + "; then no answer", wrong_key_};
    return actions;
  }
  if (next_leg_ && now >= *next_leg_) return begin_next(now);
  return {};
}

std::optional<Instant> Dial::next_wake() const {
  if (won_ || lost_) return std::nullopt;
  return next_leg_ ? std::min(*next_leg_, deadline_) : deadline_;
}

Actions Dial::abandon() {
  Actions actions;
  close_all(actions);
  return actions;
}

std::optional<Dial::Won> Dial::take_winner() { return std::exchange(won_, std::nullopt); }

void Dial::close_all(Actions& actions) {
  for (const Attempt& attempt : attempts_) actions.push_back(CloseConnection{attempt.id});
  attempts_.clear();
  to_try_.clear();
  next_leg_.reset();
}

}  // namespace sallyport::control
