// SPDX-License-Identifier: BSD-3-Clause
/// What a control session asks of its driver. The list of actions is also its log.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/model/keys.h"
#include "agent/node/control/url.h"
#include "agent/node/netmap_state.h"

namespace sallyport::control {

/// Both clocks at one moment.
struct Moment {
  Instant now;
  WallTime wall;
};

/// A connection that was asked for; a number is used once.
enum class ConnectionId : uint32_t {};

/// Look the host up and connect to one of its addresses, TLS included. The answer is on_connected()
/// or on_closed().
struct Connect {
  ConnectionId id{};
  std::string host;
  Leg leg;
  friend bool operator==(const Connect&, const Connect&) = default;
};
struct SendBytes {
  ConnectionId id{};
  Bytes bytes;
  friend bool operator==(const SendBytes&, const SendBytes&) = default;
};
/// No word more about it, in neither direction.
struct CloseConnection {
  ConnectionId id{};
  friend bool operator==(const CloseConnection&, const CloseConnection&) = default;
};
/// A person has to go there. A stranger's text: http(s) and printable, nothing more is known of it.
struct ShowAuthUrl {
  std::string url;
  friend bool operator==(const ShowAuthUrl&, const ShowAuthUrl&) = default;
};
/// The node's key is another one now; so is WireGuard's.
struct UseNodeKey {
  PrivateKey node_key;
  friend bool operator==(const UseNodeKey&, const UseNodeKey&) = default;
};
/// To be stored so that only we can read it, before anything else is done.
struct SaveKeys {
  std::string text;
  friend bool operator==(const SaveKeys&, const SaveKeys&) = default;
};
struct SaveNetmap {
  std::string text;
  friend bool operator==(const SaveNetmap&, const SaveNetmap&) = default;
};
/// session.netmap() is another one.
struct NetmapChanged {
  NetmapChanges changes;
  bool whole = false;  // nothing in common with the one before
  friend bool operator==(const NetmapChanged&, const NetmapChanged&) = default;
};
/// Something happened that an admin may want to read about.
struct Note {
  std::string event;  // "control.lost"
  std::string why;    // maybe a stranger's words
  friend bool operator==(const Note&, const Note&) = default;
};

using Action = std::variant<Connect, SendBytes, CloseConnection, ShowAuthUrl, UseNodeKey, SaveKeys,
                            SaveNetmap, NetmapChanged, Note>;
using Actions = std::vector<Action>;

}  // namespace sallyport::control
