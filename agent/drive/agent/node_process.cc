// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/node_process.h"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/log.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

std::string text_of_error(channel::ChannelError error) {
  switch (error) {
    case channel::ChannelError::kTooLong:
      return "a message is too long";
    case channel::ChannelError::kTruncated:
      return "a record is truncated";
    case channel::ChannelError::kTrailing:
      return "a record has bytes left over";
    case channel::ChannelError::kUnknownKind:
      return "a record is of an unknown kind";
    case channel::ChannelError::kTooMany:
      return "a list is too long";
    case channel::ChannelError::kBadValue:
      return "a value cannot be";
  }
  return "a message cannot be read";
}

channel::LocalAddresses local_addresses(const Config& config, const std::vector<Device>& devices) {
  channel::LocalAddresses out;
  out.ipv6 = std::ranges::any_of(devices, [](const Device& device) {
    return std::ranges::any_of(device.addresses,
                               [](const Prefix& one) { return !one.address.is_v4(); });
  });
  for (const Device& device : devices) {
    if (device.loopback || !device.up || device.name == config.node.device) continue;
    for (const Prefix& address : device.addresses) {
      if (out.addresses.size() < channel::kMaxPrefixes) out.addresses.push_back(address);
    }
  }
  return out;
}

}  // namespace

NodeProcess::NodeProcess(io::Loop& loop, Callbacks callbacks)
    : loop_(loop), callbacks_(std::move(callbacks)), timer_(loop, [this] {
        if (const auto epoch = stage_.on_wake(io::boot_now())) {
          log_warning("node_epoch_dropped epoch={} why=not_committed", *epoch);
        }
        arm();
      }) {}

Result<std::unique_ptr<NodeProcess>> NodeProcess::start(io::Loop& loop, NodeProcessOptions options,
                                                        Callbacks callbacks) {
  std::unique_ptr<NodeProcess> node(new NodeProcess(loop, std::move(callbacks)));
  auto [ours, theirs] = TRY(io::Seqpacket::pair());
  NodeProcess* self = node.get();
  node->channel_ = TRY(io::Seqpacket::adopt(
      loop, std::move(ours),
      {.on_message = [self](ByteView message,
                            const std::vector<Fd>& fds) { self->on_message(message, fds); },
       .on_end =
           [self](const std::optional<Error>& error) {
             self->end(error ? error->text() : "it closed its channel");
           }}));
  io::ChildOptions child;
  child.program = std::move(options.program);
  child.arguments = {"sallyport-node"};
  child.fds.push_back(std::move(theirs));
  child.user = options.user;
  child.no_new_privileges = true;
  node->child_ = TRY(io::Child::spawn(loop, std::move(child), [self](const io::ExitStatus& status) {
    self->end((status.killed ? "killed by signal " : "exit code ") + std::to_string(status.code));
  }));
  const channel::Hello hello{.saved_clock = options.saved_clock};
  if (!options.join) {
    self->tell(hello);
    return node;
  }
  // One message, which the node reads before it shuts itself in.
  self->joined_ = options.join;
  const std::array<channel::AgentRecord, 2> opening{hello, *std::move(options.join)};
  self->send(opening, std::move(options.join_fds));
  return node;
}

void NodeProcess::tell(const channel::AgentRecord& record, std::vector<Fd> fds) {
  send(std::span(&record, 1), std::move(fds));
}

void NodeProcess::send(std::span<const channel::AgentRecord> records, std::vector<Fd> fds) {
  const auto messages = channel::write_agent_messages(records);
  if (!messages) return end("a record of ours is beyond the channel's bounds");
  for (const Bytes& message : *messages) {
    // Descriptors go with the first one.
    if (channel_.send(message, std::exchange(fds, {})) != io::Offer::kTaken)
      return end("it does not read its channel");
  }
}

void NodeProcess::prefer(channel::Join join) {
  if (!joined_ || *joined_ == join) return;
  joined_ = join;
  tell(std::move(join));
}

void NodeProcess::configure(const Config& config, BoundsFacts facts) {
  config_ = config;
  facts_ = std::move(facts);
  WithinBounds within = keep_within_bounds(stage_.settled(), config_, facts_);
  stage_.settle(std::move(within.state));
  const std::vector<NamedPeer> names = named_peers(config);
  for (const NamedPeer& old : told_) {
    const bool stays =
        std::ranges::any_of(names, [&](const NamedPeer& name) { return name.peer == old.peer; });
    if (!stays) tell(channel::Forget{old.peer});
  }
  for (const NamedPeer& name : names) {
    if (std::ranges::find(told_, name) == told_.end()) {
      tell(channel::Name{name.peer, name.host, name.port});
    }
  }
  told_ = names;
  if (joined_) {
    channel::LocalAddresses local = local_addresses(config_, facts_.devices);
    if (told_addresses_ != local) {
      told_addresses_ = local;
      tell(std::move(local));
    }
  }
  // Behind the names: one that changed has made the node take back its old answer by itself.
  for (const Refused& dropped : within.dropped) tell(channel::Withdrawn{dropped.object});
  if (!greeted_) tell(channel::Ready{});
  greeted_ = true;
}

void NodeProcess::on_message(ByteView message, const std::vector<Fd>& fds) {
  if (ended_) return;
  if (!fds.empty()) return end("it sent descriptors");
  auto records = channel::parse_node_message(message);
  if (!records) return end(text_of_error(records.error()));
  for (channel::NodeRecord& record : *records) {
    on_record(std::move(record));
    if (ended_) return;
  }
  arm();
}

void NodeProcess::on_record(channel::NodeRecord record) {
  const Instant now = io::boot_now();
  std::optional<Refusal> refusal;
  if (const auto* begin = std::get_if<channel::Begin>(&record)) {
    refusal = stage_.on_begin(begin->epoch, now);
  } else if (auto* put = std::get_if<channel::Put>(&record)) {
    refusal = stage_.on_put(std::move(put->object), now);
  } else if (const auto* erased = std::get_if<channel::Delete>(&record)) {
    refusal = stage_.on_delete(erased->object, now);
  } else if (const auto* done = std::get_if<channel::Commit>(&record)) {
    commit(done->epoch);
  } else if (const auto* moved = std::get_if<channel::MovePeer>(&record)) {
    move(moved->path);
  } else if (const auto* asked = std::get_if<channel::Observe>(&record)) {
    if (callbacks_.on_observe) callbacks_.on_observe(asked->peer);
  }
  if (refusal) refuse(stage_.epoch(), {{ObjectId{}, *refusal}});
  if (stage_.broken()) end("its epochs are out of order or too large");
}

void NodeProcess::commit(uint64_t epoch) {
  auto state = stage_.on_commit(epoch, io::boot_now());
  if (!state) return refuse(epoch, {{ObjectId{}, state.error()}});
  const std::vector<Refused> refused = check_bounds(*state, config_, facts_);
  if (!refused.empty()) return refuse(epoch, refused);
  stage_.settle(*state);
  tell(channel::Accepted{epoch});
  callbacks_.on_state(*state);
}

void NodeProcess::move(const PathSteps& path) {
  if (const auto bad = check_steps(path, stage_.settled(), config_, facts_)) {
    // Of a peer that went meanwhile, or by an address that did: the next steps know better.
    log_warning("node_path_refused peer={} why={}", path.peer.text(), name_of(*bad));
    return;
  }
  stage_.move(path, facts_.relay_port);
  if (callbacks_.on_move) callbacks_.on_move(path);
}

void NodeProcess::refuse(uint64_t epoch, const std::vector<Refused>& why) {
  for (const Refused& refused : why) {
    log_warning("node_refused epoch={} object={} why={}", epoch, refused.object.text(),
                name_of(refused.reason));
    tell(channel::RefusedObject{epoch, refused});
  }
}

void NodeProcess::end(const std::string& why) {
  if (ended_) return;
  ended_ = true;
  channel_ = {};  // a node that still runs ends by this
  callbacks_.on_end(why);
}

void NodeProcess::arm() {
  if (const auto wake = stage_.next_wake()) {
    timer_.arm(*wake);
  } else {
    timer_.cancel();
  }
}

}  // namespace sallyport
