// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/derp_session.h"

#include <algorithm>
#include <utility>

namespace sallyport {

DerpSession::DerpSession(RandomSource& random, const PrivateKey& own, DerpRegion region)
    : random_(random), own_(own), region_(std::move(region)) {}

DerpActions DerpSession::open(Instant now) {
  if (wanted_) return {};
  wanted_ = true;
  DerpActions out;
  begin(now, out);
  return out;
}

DerpActions DerpSession::close(Instant now) {
  wanted_ = false;
  DerpActions out;
  if (state_ != DerpState::kOff) fail("closed", now, out);
  state_ = DerpState::kOff;
  backoff_ = kDerpBackoffMin;
  return out;
}

DerpActions DerpSession::set_home(bool home, Instant) {
  DerpActions out;
  if (home == home_) return out;
  home_ = home;
  if (state_ == DerpState::kUp) send(derp::NotePreferred{home}, out);
  return out;
}

DerpActions DerpSession::on_region(const DerpRegion& region, Instant now) {
  if (region == region_) return {};
  DerpActions out;
  if (state_ != DerpState::kOff) fail("the region has changed", now, out);
  region_ = region;
  backoff_ = kDerpBackoffMin;
  if (wanted_) begin(now, out);
  return out;
}

/// Its relays in the order of the map.
void DerpSession::begin(Instant now, DerpActions& out) {
  order_.clear();
  for (size_t i = region_.nodes.size(); i-- > 0;) {
    if (!region_.nodes[i].stun_only) order_.push_back(i);
  }
  region_deadline_ = now + kDialRegion;
  dial_next(now, out);
}

void DerpSession::dial_next(Instant now, DerpActions& out) {
  if (order_.empty() || now >= region_deadline_) return wait(now);
  const size_t node = order_.back();
  order_.pop_back();
  state_ = DerpState::kDialing;
  deadline_ = std::min(now + kDialNode, region_deadline_);
  out.push_back(DialDerp{++dial_, node});
}

/// Until the next attempt: longer each time, and not in step with everybody else who lost the same
/// server.
void DerpSession::wait(Instant now) {
  state_ = DerpState::kWaiting;
  if (restart_in_) {
    deadline_ =
        now + *std::exchange(restart_in_, {}) + random_.between(Duration(0), kDerpBackoffMin);
    return;
  }
  deadline_ = now + random_.between(backoff_ / 2, backoff_);
  const bool patient = patient_until_ && now < *patient_until_;
  if (!patient) backoff_ = std::min(backoff_ * 2, kDerpBackoffMax);
}

/// Ends what is under way. What comes next is the caller's to say, after wait().
void DerpSession::fail(std::string_view why, Instant now, DerpActions& out) {
  const bool was_up = state_ == DerpState::kUp;
  if (state_ != DerpState::kWaiting) out.push_back(CloseDerp{dial_});
  ping_.reset();
  box_key_.reset();
  if (!problem_.empty()) {
    problem_.clear();
    out.push_back(DerpHealth{});
  }
  if (was_up) out.push_back(DerpDown{std::string(why)});
  wait(now);
}

DerpActions DerpSession::on_connected(uint64_t dial, Instant now) {
  if (dial != dial_ || state_ != DerpState::kDialing) return {};
  state_ = DerpState::kLogin;
  deadline_ = now + kDerpLogin;
  return {};
}

DerpActions DerpSession::on_closed(uint64_t dial, std::string_view why, Instant now) {
  if (dial != dial_ || state_ == DerpState::kOff || state_ == DerpState::kWaiting) return {};
  DerpActions out;
  if (state_ == DerpState::kDialing) {
    dial_next(now, out);
  } else {
    fail(why, now, out);
    std::erase_if(out, [](const DerpAction& a) { return std::holds_alternative<CloseDerp>(a); });
  }
  return out;
}

void DerpSession::send(const derp::Message& message, DerpActions& out) const {
  Bytes frame(derp::kHead + 32);  // of the short ones that are sent here
  frame.resize(derp::write(message, frame).size());
  out.push_back(SendDerp{std::move(frame)});
}

void DerpSession::on_server_key(const derp::ServerKey& key, Instant now, DerpActions& out) {
  box_key_ = BoxKey::between(own_, key.server.bytes);
  if (!box_key_) return fail("the server's key is no key", now, out);
  const derp::ClientInfo info{.mesh_key = {}, .can_ack_pings = true, .app_name = {}};
  out.push_back(
      SendDerp{derp::write_client_info(info, own_.public_key(), *box_key_, random_.bytes<24>())});
}

void DerpSession::on_server_info(const derp::ServerInfoBox& sealed, Instant now, DerpActions& out) {
  if (!box_key_) return fail("the server skipped its key", now, out);
  const auto info = derp::open_server_info(sealed, *box_key_);
  if (!info) return fail("the server does not own its key", now, out);
  server_info_ = *info;
  state_ = DerpState::kUp;
  deadline_ = now + kDerpSilence;
  backoff_ = kDerpBackoffMin;
  patient_until_.reset();
  out.push_back(DerpUp{});
  if (home_) send(derp::NotePreferred{true}, out);
}

DerpActions DerpSession::on_message(const derp::Message& message, Instant now) {
  DerpActions out;
  if (state_ == DerpState::kLogin) {
    if (const auto* key = std::get_if<derp::ServerKey>(&message)) on_server_key(*key, now, out);
    if (const auto* info = std::get_if<derp::ServerInfoBox>(&message))
      on_server_info(*info, now, out);
    return out;
  }
  if (state_ != DerpState::kUp) return out;
  deadline_ = now + kDerpSilence;
  if (const auto* ping = std::get_if<derp::Ping>(&message)) {
    send(derp::Pong{ping->data}, out);
  } else if (const auto* pong = std::get_if<derp::Pong>(&message)) {
    if (ping_ && ping_->data == pong->data) {
      rtt_ = now - ping_->sent;
      ping_.reset();
    }
  } else if (const auto* health = std::get_if<derp::Health>(&message)) {
    if (problem_ != health->problem) {
      problem_ = health->problem;
      out.push_back(DerpHealth{problem_});
    }
  } else if (const auto* gone = std::get_if<derp::PeerGone>(&message)) {
    out.push_back(DerpPeerGone{gone->peer});
  } else if (const auto* restart = std::get_if<derp::Restarting>(&message)) {
    restart_in_ = std::min<Duration>(restart->reconnect_in, kDerpRestartMax);
    patient_until_ = now + *restart_in_ + std::min<Duration>(restart->try_for, kDerpRestartMax);
  }
  return out;
}

DerpActions DerpSession::on_network_changed(Instant now) {
  DerpActions out;
  if (state_ == DerpState::kUp && !ping_) {
    ping_ = Ping{random_.bytes<8>(), now};
    send(derp::Ping{ping_->data}, out);
  } else if (state_ == DerpState::kWaiting && wanted_) {
    backoff_ = kDerpBackoffMin;
    begin(now, out);  // what failed may work now
  }
  return out;
}

DerpActions DerpSession::on_wake(Instant now) {
  DerpActions out;
  if (state_ == DerpState::kUp && ping_ && now >= ping_->sent + kDerpPong) {
    fail("a ping was not answered", now, out);
    // Its network is new, not its server down: at once.
    begin(now, out);
    return out;
  }
  if (state_ == DerpState::kOff || now < deadline_) return out;
  switch (state_) {
    case DerpState::kOff:
      break;
    case DerpState::kWaiting:
      begin(now, out);
      break;
    case DerpState::kDialing:
      out.push_back(CloseDerp{dial_});
      dial_next(now, out);
      break;
    case DerpState::kLogin:
      fail("the login took too long", now, out);
      break;
    case DerpState::kUp:
      fail("the server is silent", now, out);
      break;
  }
  return out;
}

std::optional<Instant> DerpSession::next_wake() const {
  if (state_ == DerpState::kOff) return {};
  if (state_ == DerpState::kUp && ping_) return std::min(deadline_, ping_->sent + kDerpPong);
  return deadline_;
}

}  // namespace sallyport
