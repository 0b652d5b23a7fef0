// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/login.h"

#include <utility>

#include "agent/base/text.h"
#include "agent/node/control/channel.h"

namespace sallyport::control {
namespace {

constexpr std::string_view kLockSuffix = "--TL";
constexpr size_t kMaxVisit = 2048;
/// Any time in the past logs out; this one is the reference's.
constexpr WallTime kLongAgo{std::chrono::seconds(123)};

/// It is printed for a person to click on.
bool may_be_shown(const std::string& url) {
  return url.size() <= kMaxVisit && printable(url) == url &&
         url.find_first_of(" \"'`\\<>") == std::string::npos &&
         (url.starts_with("https://") || url.starts_with("http://"));
}

}  // namespace

Identity Identity::make(RandomSource& random) {
  Identity identity;
  identity.machine = clamped(random.bytes<32>());
  identity.node = clamped(random.bytes<32>());
  return identity;
}

std::string_view sent_part(std::string_view auth_key) {
  return auth_key.substr(0, auth_key.find(kLockSuffix));
}

Login::Login(Setup setup, Identity identity, RandomSource& random)
    : setup_(std::move(setup)), identity_(std::move(identity)), random_(random) {
  start_over();
}

void Login::start_over() {
  // A key that registers once is not spent on a node that is known anyway.
  with_auth_key_ = !setup_.auth_key.empty() && !identity_.registered;
  rotated_ = false;
  visit_.clear();
  error_.clear();
}

void Login::rotate() {
  identity_.next = clamped(random_.bytes<32>());
  start_over();
  with_auth_key_ = !setup_.auth_key.empty();
  rotated_ = true;
}

void Login::on_forgotten() {
  identity_.registered = false;
  start_over();
}

void Login::on_logged_out() {
  identity_.registered = false;
  identity_.next.reset();
  identity_.node = clamped(random_.bytes<32>());
  start_over();
}

tailcfg::RegisterRequest Login::request(const Hostinfo& hostinfo) const {
  tailcfg::RegisterRequest request;
  request.version = kCapabilityVersion;
  request.node_key = (identity_.next ? *identity_.next : identity_.node).public_key();
  if (identity_.next) request.old_node_key = identity_.node.public_key();
  request.hostinfo = hostinfo;
  request.ephemeral = setup_.ephemeral;
  if (!visit_.empty()) {
    request.followup = visit_;
  } else if (with_auth_key_) {
    request.auth = tailcfg::RegisterAuth{std::string(sent_part(setup_.auth_key))};
  }
  return request;
}

tailcfg::RegisterRequest Login::logout_request(const Hostinfo& hostinfo) const {
  tailcfg::RegisterRequest request;
  request.version = kCapabilityVersion;
  request.node_key = identity_.node.public_key();
  request.hostinfo = hostinfo;
  request.expiry = kLongAgo;
  return request;
}

LoginStep Login::refuse(std::string why) {
  error_ = std::move(why);
  visit_.clear();
  return LoginStep::kRefused;
}

LoginStep Login::on_response(const tailcfg::RegisterResponse& response) {
  if (!response.error.empty()) return refuse(response.error);
  if (response.node_key_expired) {
    if (rotated_) return refuse("the server says that a new key has expired");
    rotate();
    return LoginStep::kAgain;
  }
  if (!response.auth_url.empty()) {
    if (!setup_.auth_key.empty() && !with_auth_key_ && visit_.empty()) {
      with_auth_key_ = true;
      return LoginStep::kAgain;
    }
    if (!may_be_shown(response.auth_url)) return refuse("the server sends us to no web page");
    if (response.auth_url == visit_) return LoginStep::kWait;
    visit_ = response.auth_url;
    return LoginStep::kVisit;
  }
  if (identity_.next) identity_.node = *std::exchange(identity_.next, std::nullopt);
  identity_.registered = true;
  start_over();
  return LoginStep::kRegistered;
}

}  // namespace sallyport::control
