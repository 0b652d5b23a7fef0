// SPDX-License-Identifier: BSD-3-Clause
/// What the agent and its node say to each other over their seqpacket socket: messages of several
/// records, big-endian. A record is {u8 kind, u16 length of the body, body}.
///
/// The node changes its NodeState in epochs: Begin, any number of Put and Delete over any number of
/// messages, Commit; the agent answers with Accepted, or with a Refused for each object that it
/// does not take, and then keeps the state from before. At most one epoch is under way. An epoch
/// number is greater than the one before. The agent opens with Hello and a Name for each name to
/// look up, then Ready, and later sends more of Name, Forget, Withdrawn and observations as things
/// change.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/join_prefs.h"
#include "agent/model/keys.h"
#include "agent/model/node_object.h"
#include "agent/model/path_step.h"

namespace sallyport::channel {

/// One page group in the kernel's socket buffer, and what both ends keep as their receive buffer.
constexpr size_t kMaxMessage = 32768;
/// Both programs come from one package; this finds the node of a half-done upgrade.
constexpr uint16_t kVersion = 3;

// Bounds of one object, so that the largest still fits into a message.
constexpr size_t kMaxAllowedIps = 1024;  // 18 bytes each; a subnet router has tens
constexpr size_t kMaxRanges = 256;       // 33 bytes each, twice in a rule; larger rules are split
constexpr size_t kMaxProtos = 64;
constexpr size_t kMaxPorts = 256;
constexpr size_t kMaxWindows = 16;
constexpr size_t kMaxText = 255;  // names of peers, users and rules
constexpr size_t kMaxHost = 253;  // RFC 1035 2.3.4 in its written form
constexpr size_t kMaxPath = 4095;
constexpr size_t kMaxUrl = 512;        // and of an auth key
constexpr size_t kMaxPrefixes = 1024;  // of ours, and of routes that we offer
constexpr size_t kMaxPathSteps = 256;  // of one peer at once

// From the node.
struct Begin {
  uint64_t epoch = 0;
  friend bool operator==(const Begin&, const Begin&) = default;
};
struct Put {
  NodeObject object;
  friend bool operator==(const Put&, const Put&) = default;
};
struct Delete {
  ObjectId object;
  friend bool operator==(const Delete&, const Delete&) = default;
};
struct Commit {
  uint64_t epoch = 0;
  friend bool operator==(const Commit&, const Commit&) = default;
};
/// Outside of any epoch and done at once, if the agent agrees. The peer's endpoint in both ends'
/// state is then where the last PointAt says.
struct MovePeer {
  PathSteps path;
  friend bool operator==(const MovePeer&, const MovePeer&) = default;
};
/// What has the kernel counted of this peer? The answer is Observed.
struct Observe {
  PublicKey peer;
  friend bool operator==(const Observe&, const Observe&) = default;
};
using NodeRecord = std::variant<Begin, Put, Delete, Commit, MovePeer, Observe>;

// From the agent.
struct Hello {
  uint16_t version = kVersion;
  WallTime saved_clock;  // the latest time that the agent has on disk, or the build's
  friend bool operator==(const Hello&, const Hello&) = default;
};
/// Look this up and keep it fresh.
struct Name {
  PublicKey peer;
  std::string host;
  uint16_t port = 0;
  friend bool operator==(const Name&, const Name&) = default;
};
struct Forget {
  PublicKey peer;
  friend bool operator==(const Forget&, const Forget&) = default;
};
/// The configuration is complete.
struct Ready {
  friend bool operator==(const Ready&, const Ready&) = default;
};
/// Observation: does the kernel count its clock as synchronised? Source: adjtimex(2), STA_UNSYNC.
struct ClockSync {
  bool synchronised = false;
  friend bool operator==(const ClockSync&, const ClockSync&) = default;
};
/// Observation: a link, an address or a default route came or went.
struct NetworkChanged {
  friend bool operator==(const NetworkChanged&, const NetworkChanged&) = default;
};
struct Accepted {
  uint64_t epoch = 0;
  friend bool operator==(const Accepted&, const Accepted&) = default;
};
struct RefusedObject {
  uint64_t epoch = 0;
  Refused refused;
  friend bool operator==(const RefusedObject&, const RefusedObject&) = default;
};
/// An object accepted before is so no longer: the configuration or the host's networks changed.
struct Withdrawn {
  ObjectId object;
  friend bool operator==(const Withdrawn&, const Withdrawn&) = default;
};
/// The tailnet that the node is to join: in the message of the first Hello, with the descriptors of
/// JoinFd in that order; later without any, if the preferences or the name are other ones.
struct Join {
  std::string url;
  std::string auth_key;  // empty: none
  std::string hostname;
  std::string ca_file;  // empty: the system's
  uint32_t max_netmap_age_s = 0;
  uint16_t wg_port = 0;
  uint16_t relay_port = 0;
  JoinPrefs prefs;
  friend bool operator==(const Join&, const Join&) = default;
};
enum class JoinFd : uint8_t {
  kAgentSocket,
  kRelaySocket,
  kKeys0,
  kKeys1,
  kNetmap0,
  kNetmap1,
  kPaths0,
  kPaths1,
  kCount
};
/// Observation: the addresses of the box but for loopback's and WireGuard's, each with its
/// network's length.
struct LocalAddresses {
  std::vector<Prefix> addresses;
  bool ipv6 = true;  // does the kernel have it?
  friend bool operator==(const LocalAddresses&, const LocalAddresses&) = default;
};
struct Observed {
  PublicKey peer;
  std::optional<Instant> last_tx;  // of the last packet into the tunnel
  std::optional<Instant> last_rx;  // of the last authenticated one out of it
  uint64_t wire_rx = 0;            // WireGuard packets from the endpoint that it is pointed at
  friend bool operator==(const Observed&, const Observed&) = default;
};
/// Somebody asks by the command line, and the answer is the node's to give. With two descriptors:
/// the connection, and a file with the request, {"verb", "args", "agent": the agent's own answer}.
struct Serve {
  friend bool operator==(const Serve&, const Serve&) = default;
};
using AgentRecord = std::variant<Hello, Name, Forget, Ready, ClockSync, NetworkChanged, Accepted,
                                 RefusedObject, Withdrawn, Join, LocalAddresses, Observed, Serve>;

enum class ChannelError : uint8_t {
  kTooLong,      // the message
  kTruncated,    // a record ends before its members do
  kTrailing,     // or after them
  kUnknownKind,  // of a record, an object or an address
  kTooMany,      // members of a list, or characters
  kBadValue,     // a number, a text or an order that cannot be
};

/// All of a message or nothing. Errors allocate nothing.
Result<std::vector<NodeRecord>, ChannelError> parse_node_message(ByteView message);
Result<std::vector<AgentRecord>, ChannelError> parse_agent_message(ByteView message);

/// The records in as few messages as hold them, in order. Nothing: a record is beyond the bounds
/// above.
std::optional<std::vector<Bytes>> write_node_messages(std::span<const NodeRecord> records);
std::optional<std::vector<Bytes>> write_agent_messages(std::span<const AgentRecord> records);

}  // namespace sallyport::channel
