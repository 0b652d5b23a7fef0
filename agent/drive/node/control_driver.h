// SPDX-License-Identifier: BSD-3-Clause
/// Runs the control session: connections, timers and names in, its actions out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/drive/node/connection.h"
#include "agent/drive/node/resolver.h"
#include "agent/io/loop.h"
#include "agent/io/random.h"
#include "agent/io/timer.h"
#include "agent/io/tls/engine.h"
#include "agent/node/control/session.h"

namespace sallyport {

/// What becomes of a session's decisions outside of it. All from the loop; none may destroy the
/// driver.
struct ControlHooks {
  /// netmap() is another one.
  std::function<void(const NetmapChanges& changes, bool whole)> on_netmap;
  std::function<void(const PrivateKey& node_key)> on_node_key;
  std::function<void(const std::string& url)> on_auth_url;
  /// status() may be another one.
  std::function<void()> on_status = {};
  std::function<Result<void>(std::string_view text)> save_keys;
  std::function<Result<void>(std::string_view text)> save_netmap;
};

struct ControlOptions {
  control::Session::Config session;
  control::Session::Stored stored;
  std::string ca_file;  // empty: the system's authorities
};

class ControlDriver {
 public:
  /// Starts a thread (the resolver's) and reads the authorities: before a sandbox is closed.
  /// Nothing is sent before start().
  static Result<std::unique_ptr<ControlDriver>> create(io::Loop& loop, ControlOptions options,
                                                       ControlHooks hooks);
  ControlDriver(const ControlDriver&) = delete;
  ControlDriver& operator=(const ControlDriver&) = delete;
  ~ControlDriver() = default;

  void start();
  void stop();
  void set_node(control::NodeInfo info);
  void login();
  void logout();
  void on_network_changed();

  [[nodiscard]] const Netmap& netmap() const { return session_.netmap(); }
  [[nodiscard]] control::SessionStatus status() const { return session_.status(); }
  [[nodiscard]] const control::Identity& identity() const { return session_.identity(); }

 private:
  ControlDriver(io::Loop& loop, io::TlsContext tls, ControlOptions options, ControlHooks hooks);
  void run(const control::Actions& actions);
  void act(const control::Connect& connect);
  void act(const control::SendBytes& send);
  void act(const control::CloseConnection& close);
  void act(const control::ShowAuthUrl& show);
  void act(const control::UseNodeKey& use);
  void act(const control::SaveKeys& save);
  void act(const control::SaveNetmap& save);
  void act(const control::NetmapChanged& changed);
  void act(const control::Note& note);
  void sweep();
  void on_lookup(const std::string& host, const std::vector<IpAddress>& found);

  io::Loop& loop_;
  io::TlsContext tls_;
  ControlHooks hooks_;
  io::KernelRandom random_;
  control::Session session_;
  io::Timer wake_;
  std::unique_ptr<Resolver> resolver_;
  std::multimap<std::string, control::ConnectionId> waiting_;  // for their host's addresses
  std::map<control::ConnectionId, std::unique_ptr<Connection>> connections_;
  io::Timer sweep_;  // at once: what cannot be done within a callback
  std::vector<std::unique_ptr<Connection>> closed_;
  std::vector<control::ConnectionId> full_;  // a server that does not read
};

}  // namespace sallyport
