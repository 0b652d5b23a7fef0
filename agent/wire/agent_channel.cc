// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/agent_channel.h"

#include <algorithm>

#include "agent/base/overloaded.h"
#include "agent/wire/join_codec.h"
#include "agent/wire/node_object_codec.h"

namespace sallyport::channel {
namespace {

constexpr size_t kRecordHead = 3;

// Kinds of records. The two directions share no number, so that a message that comes back is no
// message.
enum class Kind : uint8_t {
  kBegin = 1,
  kPut = 2,
  kDelete = 3,
  kCommit = 4,
  kMovePeer = 5,
  kObserve = 6,
  kHello = 65,
  kName = 66,
  kForget = 67,
  kReady = 68,
  kClockSync = 69,
  kNetworkChanged = 70,
  kAccepted = 71,
  kRefused = 72,
  kWithdrawn = 73,
  kJoin = 74,
  kLocalAddresses = 75,
  kObserved = 76,
  kServe = 77,
};

bool is_host(std::string_view host) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !host.empty() && std::ranges::all_of(host, good);
}

Result<NodeRecord, ChannelError> parse_record(Kind kind, ByteReader& in, NodeRecord*) {
  if (kind == Kind::kBegin) return NodeRecord{Begin{in.u64()}};
  if (kind == Kind::kPut) return NodeRecord{Put{TRY(parse_object(in))}};
  if (kind == Kind::kDelete) return NodeRecord{Delete{TRY(parse_object_id(in))}};
  if (kind == Kind::kCommit) return NodeRecord{Commit{in.u64()}};
  if (kind == Kind::kMovePeer) return NodeRecord{MovePeer{TRY(parse_path_steps(in))}};
  if (kind == Kind::kObserve) return NodeRecord{Observe{PublicKey{in.array<32>()}}};
  return Fail{ChannelError::kUnknownKind};
}

Result<AgentRecord, ChannelError> parse_name(ByteReader& in) {
  Name name;
  name.peer.bytes = in.array<32>();
  name.port = in.u16();
  name.host = TRY(parse_text(in, kMaxHost));
  if (!is_host(name.host) || name.port == 0) return Fail{ChannelError::kBadValue};
  return AgentRecord{std::move(name)};
}

Result<AgentRecord, ChannelError> parse_refused(ByteReader& in) {
  RefusedObject refused;
  refused.epoch = in.u64();
  const uint8_t reason = in.u8();
  if (reason >= kRefusalCount) return Fail{ChannelError::kBadValue};
  refused.refused.reason = static_cast<Refusal>(reason);
  refused.refused.object = TRY(parse_object_id(in));
  return AgentRecord{refused};
}

Result<AgentRecord, ChannelError> parse_record(Kind kind, ByteReader& in, AgentRecord*) {
  switch (kind) {
    case Kind::kHello: {
      const uint16_t version = in.u16();
      return AgentRecord{Hello{version, WallTime{Duration{static_cast<int64_t>(in.u64())}}}};
    }
    case Kind::kName:
      return parse_name(in);
    case Kind::kForget:
      return AgentRecord{Forget{PublicKey{in.array<32>()}}};
    case Kind::kReady:
      return AgentRecord{Ready{}};
    case Kind::kClockSync: {
      const uint8_t synchronised = in.u8();
      if (synchronised > 1) return Fail{ChannelError::kBadValue};
      return AgentRecord{ClockSync{synchronised == 1}};
    }
    case Kind::kNetworkChanged:
      return AgentRecord{NetworkChanged{}};
    case Kind::kAccepted:
      return AgentRecord{Accepted{in.u64()}};
    case Kind::kRefused:
      return parse_refused(in);
    case Kind::kWithdrawn:
      return AgentRecord{Withdrawn{TRY(parse_object_id(in))}};
    case Kind::kJoin:
      return AgentRecord{TRY(parse_join(in))};
    case Kind::kLocalAddresses:
      return parse_local_addresses(in);
    case Kind::kObserved:
      return parse_observed(in);
    case Kind::kServe:
      return AgentRecord{Serve{}};
    case Kind::kBegin:
    case Kind::kPut:
    case Kind::kDelete:
    case Kind::kCommit:
    case Kind::kMovePeer:
    case Kind::kObserve:
      break;
  }
  return Fail{ChannelError::kUnknownKind};
}

template <class Record>
Result<std::vector<Record>, ChannelError> parse_message(ByteView message) {
  if (message.size() > kMaxMessage) return Fail{ChannelError::kTooLong};
  std::vector<Record> records;
  ByteReader in(message);
  while (!in.done()) {
    const auto kind = static_cast<Kind>(in.u8());
    ByteReader body(in.take(in.u16()));
    if (!in.ok()) return Fail{ChannelError::kTruncated};
    Record record = TRY(parse_record(kind, body, static_cast<Record*>(nullptr)));
    if (!body.ok()) return Fail{ChannelError::kTruncated};
    if (body.left() != 0) return Fail{ChannelError::kTrailing};
    records.push_back(std::move(record));
  }
  return records;
}

bool write_body(ByteWriter& out, const NodeRecord& record) {
  return std::visit(Overloaded{
                        [&](const Begin& r) { return out.u64(r.epoch), true; },
                        [&](const Put& r) { return write_object(out, r.object); },
                        [&](const Delete& r) { return write_object_id(out, r.object), true; },
                        [&](const Commit& r) { return out.u64(r.epoch), true; },
                        [&](const MovePeer& r) { return write_path_steps(out, r.path); },
                        [&](const Observe& r) { return out.bytes(r.peer.bytes), true; },
                    },
                    record);
}
Kind kind_of(const NodeRecord& record) {
  return std::visit(Overloaded{
                        [](const Begin&) { return Kind::kBegin; },
                        [](const Put&) { return Kind::kPut; },
                        [](const Delete&) { return Kind::kDelete; },
                        [](const Commit&) { return Kind::kCommit; },
                        [](const MovePeer&) { return Kind::kMovePeer; },
                        [](const Observe&) { return Kind::kObserve; },
                    },
                    record);
}

bool write_name(ByteWriter& out, const Name& name) {
  if (!is_host(name.host) || name.port == 0) return false;
  out.bytes(name.peer.bytes);
  out.u16(name.port);
  return write_text(out, name.host, kMaxHost);
}
void write_refused(ByteWriter& out, const RefusedObject& refused) {
  out.u64(refused.epoch);
  out.u8(static_cast<uint8_t>(refused.refused.reason));
  write_object_id(out, refused.refused.object);
}
void write_hello(ByteWriter& out, const Hello& hello) {
  out.u16(hello.version);
  out.u64(static_cast<uint64_t>(hello.saved_clock.time_since_epoch().count()));
}

bool write_body(ByteWriter& out, const AgentRecord& record) {
  return std::visit(Overloaded{
                        [&](const Hello& r) { return write_hello(out, r), true; },
                        [&](const Name& r) { return write_name(out, r); },
                        [&](const Forget& r) { return out.bytes(r.peer.bytes), true; },
                        [&](const Ready&) { return true; },
                        [&](const ClockSync& r) { return out.u8(r.synchronised ? 1 : 0), true; },
                        [&](const NetworkChanged&) { return true; },
                        [&](const Accepted& r) { return out.u64(r.epoch), true; },
                        [&](const RefusedObject& r) { return write_refused(out, r), true; },
                        [&](const Withdrawn& r) { return write_object_id(out, r.object), true; },
                        [&](const Join& r) { return write_join(out, r); },
                        [&](const LocalAddresses& r) { return write_local_addresses(out, r); },
                        [&](const Observed& r) { return write_observed(out, r), true; },
                        [&](const Serve&) { return true; },
                    },
                    record);
}
Kind kind_of(const AgentRecord& record) {
  return std::visit(Overloaded{
                        [](const Hello&) { return Kind::kHello; },
                        [](const Name&) { return Kind::kName; },
                        [](const Forget&) { return Kind::kForget; },
                        [](const Ready&) { return Kind::kReady; },
                        [](const ClockSync&) { return Kind::kClockSync; },
                        [](const NetworkChanged&) { return Kind::kNetworkChanged; },
                        [](const Accepted&) { return Kind::kAccepted; },
                        [](const RefusedObject&) { return Kind::kRefused; },
                        [](const Withdrawn&) { return Kind::kWithdrawn; },
                        [](const Join&) { return Kind::kJoin; },
                        [](const LocalAddresses&) { return Kind::kLocalAddresses; },
                        [](const Observed&) { return Kind::kObserved; },
                        [](const Serve&) { return Kind::kServe; },
                    },
                    record);
}

template <class Record>
std::optional<std::vector<Bytes>> write_messages(std::span<const Record> records) {
  std::vector<Bytes> messages;
  for (const Record& record : records) {
    ByteWriter body;
    if (!write_body(body, record) || body.size() + kRecordHead > kMaxMessage) return std::nullopt;
    const size_t length = body.size();
    if (messages.empty() || messages.back().size() + kRecordHead + length > kMaxMessage)
      messages.emplace_back();
    ByteWriter head;
    head.u8(static_cast<uint8_t>(kind_of(record)));
    head.u16(static_cast<uint16_t>(length));
    for (const Bytes& part : {std::move(head).finish(), std::move(body).finish()}) {
      messages.back().insert(messages.back().end(), part.begin(), part.end());
    }
  }
  return messages;
}

}  // namespace

Result<std::vector<NodeRecord>, ChannelError> parse_node_message(ByteView message) {
  return parse_message<NodeRecord>(message);
}
Result<std::vector<AgentRecord>, ChannelError> parse_agent_message(ByteView message) {
  return parse_message<AgentRecord>(message);
}
std::optional<std::vector<Bytes>> write_node_messages(std::span<const NodeRecord> records) {
  return write_messages(records);
}
std::optional<std::vector<Bytes>> write_agent_messages(std::span<const AgentRecord> records) {
  return write_messages(records);
}

}  // namespace sallyport::channel
