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
#include "agent/model/keys.h"
#include "agent/model/node_object.h"

namespace sallyport::channel {

/// One page group in the kernel's socket buffer, and what both ends keep as their receive buffer.
constexpr size_t kMaxMessage = 32768;
/// Both programs come from one package; this finds the node of a half-done upgrade.
constexpr uint16_t kVersion = 2;

// Bounds of one object, so that the largest still fits into a message.
constexpr size_t kMaxAllowedIps = 1024;  // 18 bytes each; a subnet router has tens
constexpr size_t kMaxRanges = 256;       // 33 bytes each, twice in a rule; larger rules are split
constexpr size_t kMaxProtos = 64;
constexpr size_t kMaxPorts = 256;
constexpr size_t kMaxWindows = 16;
constexpr size_t kMaxText = 255;  // names of peers, users and rules
constexpr size_t kMaxHost = 253;  // RFC 1035 2.3.4 in its written form

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
using NodeRecord = std::variant<Begin, Put, Delete, Commit>;

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
using AgentRecord = std::variant<Hello, Name, Forget, Ready, ClockSync, NetworkChanged, Accepted,
                                 RefusedObject, Withdrawn>;

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
