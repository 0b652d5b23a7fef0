// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/control_driver.h"

#include <utility>

#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

control::Moment this_moment() { return {io::boot_now(), io::wall_now()}; }

ConnectionTarget target_of(const control::Connect& connect) {
  ConnectionTarget target{.host = connect.host, .port = connect.leg.port};
  if (connect.leg.wrap == control::Wrap::kPlain) return target;
  io::TlsClientOptions& tls = target.tls.emplace();
  tls.server_name = connect.host;
  if (connect.leg.wrap == control::Wrap::kTlsUnverified) tls.verify = io::VerifyNothing{};
  return target;
}

}  // namespace

ControlDriver::ControlDriver(io::Loop& loop, io::TlsContext tls, ControlOptions options,
                             ControlHooks hooks)
    : loop_(loop),
      tls_(std::move(tls)),
      hooks_(std::move(hooks)),
      session_(std::move(options.session), options.stored, random_, this_moment()),
      wake_(loop, [this] { run(session_.on_wake(this_moment())); }),
      sweep_(loop, [this] { sweep(); }) {}

Result<std::unique_ptr<ControlDriver>> ControlDriver::create(io::Loop& loop, ControlOptions options,
                                                             ControlHooks hooks) {
  // A ring that is sandboxed takes no buffers any more, so the first stream comes too late.
  TRY(loop.stream_buffers());
  auto tls = TRY(io::TlsContext::client(options.ca_file));
  std::unique_ptr<ControlDriver> driver(
      new ControlDriver(loop, std::move(tls), std::move(options), std::move(hooks)));
  ControlDriver* const self = driver.get();
  driver->resolver_ = TRY(
      Resolver::start(loop, [self](const std::string& host, const std::vector<IpAddress>& found) {
        self->on_lookup(host, found);
      }));
  return driver;
}

void ControlDriver::start() { run(session_.start(this_moment())); }
void ControlDriver::stop() { run(session_.stop()); }
void ControlDriver::set_node(control::NodeInfo info) {
  run(session_.set_node(std::move(info), this_moment()));
}
void ControlDriver::login() { run(session_.login(this_moment())); }
void ControlDriver::logout() { run(session_.logout(this_moment())); }
void ControlDriver::on_network_changed() { run(session_.on_network_changed(this_moment())); }

void ControlDriver::run(const control::Actions& actions) {
  for (const control::Action& action : actions) {
    std::visit([this](const auto& a) { act(a); }, action);
  }
  if (const auto next = session_.next_wake()) {
    wake_.arm(*next);
  } else {
    wake_.cancel();
  }
  if (hooks_.on_status) hooks_.on_status();
}

void ControlDriver::act(const control::Connect& connect) {
  const control::ConnectionId id = connect.id;
  auto connection = std::make_unique<Connection>(
      loop_, tls_, target_of(connect),
      ConnectionCallbacks{
          .on_connected = [this, id] { run(session_.on_connected(id, this_moment())); },
          .on_bytes = [this,
                       id](ByteView bytes) { run(session_.on_bytes(id, bytes, this_moment())); },
          .on_closed =
              [this, id](const std::string& why) {
                act(control::CloseConnection{id});
                run(session_.on_closed(id, why, this_moment()));
              }});
  if (const auto address = IpAddress::parse(connect.host)) {
    connection->connect_to({*address});
  } else {
    waiting_.emplace(connect.host, id);
    resolver_->look_up(connect.host);
  }
  connections_.emplace(id, std::move(connection));
}

void ControlDriver::on_lookup(const std::string& host, const std::vector<IpAddress>& found) {
  const auto [first, last] = waiting_.equal_range(host);
  for (auto entry = first; entry != last; ++entry) {
    const auto connection = connections_.find(entry->second);
    if (connection != connections_.end()) connection->second->connect_to(found);
  }
  waiting_.erase(first, last);
}

void ControlDriver::act(const control::SendBytes& send) {
  const auto connection = connections_.find(send.id);
  if (connection == connections_.end() || connection->second->write(send.bytes)) return;
  full_.push_back(send.id);
  sweep_.arm(io::boot_now());
}

void ControlDriver::act(const control::CloseConnection& close) {
  const auto connection = connections_.find(close.id);
  if (connection == connections_.end()) return;
  closed_.push_back(std::move(connection->second));
  connections_.erase(connection);
  sweep_.arm(io::boot_now());
}

void ControlDriver::sweep() {
  closed_.clear();
  for (const control::ConnectionId id : std::exchange(full_, {})) {
    if (!connections_.contains(id)) continue;
    act(control::CloseConnection{id});
    run(session_.on_closed(id, "the server does not read", this_moment()));
  }
}

void ControlDriver::act(const control::ShowAuthUrl& show) {
  log_warning("login.needed url={}", printable(show.url));
  if (hooks_.on_auth_url) hooks_.on_auth_url(show.url);
}

void ControlDriver::act(const control::UseNodeKey& use) {
  if (hooks_.on_node_key) hooks_.on_node_key(use.node_key);
}

void ControlDriver::act(const control::SaveKeys& save) {
  if (!hooks_.save_keys) return;
  if (const auto saved = hooks_.save_keys(save.text); !saved) {
    log_error("keys.not_saved why=\"{}\" then=a restart needs a new login", saved.error().text());
  }
}

void ControlDriver::act(const control::SaveNetmap& save) {
  if (!hooks_.save_netmap) return;
  if (const auto saved = hooks_.save_netmap(save.text); !saved) {
    log_warning("netmap.not_saved why=\"{}\" then=a restart needs the control server",
                saved.error().text());
  }
}

void ControlDriver::act(const control::NetmapChanged& changed) {
  if (hooks_.on_netmap) hooks_.on_netmap(changed.changes, changed.whole);
}

void ControlDriver::act(const control::Note& note) {
  if (note.why.empty()) {
    log_info("{}", note.event);
  } else {
    log_info("{} why={}", note.event, quote(note.why));
  }
}

}  // namespace sallyport
