// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/join_codec.h"

#include <algorithm>

#include "agent/base/overloaded.h"
#include "agent/wire/node_object_codec.h"

namespace sallyport::channel {
namespace {

enum class StepKind : uint8_t { kSetPin = 1, kClearPin, kSetReverse, kClearReverse, kPointAt };

Fail<ChannelError> bad() { return {ChannelError::kBadValue}; }

bool write_prefixes(ByteWriter& out, const std::vector<Prefix>& prefixes) {
  if (prefixes.size() > kMaxPrefixes) return false;
  out.u16(static_cast<uint16_t>(prefixes.size()));
  for (const Prefix& prefix : prefixes) write_prefix(out, prefix);
  return true;
}
Result<std::vector<Prefix>, ChannelError> parse_prefixes(ByteReader& in) {
  const uint16_t count = in.u16();
  if (count > kMaxPrefixes) return Fail{ChannelError::kTooMany};
  std::vector<Prefix> out;
  out.reserve(count);
  for (uint16_t i = 0; i < count; ++i) out.push_back(TRY(parse_prefix(in)));
  return out;
}

Result<bool, ChannelError> parse_flag(ByteReader& in) {
  const uint8_t flag = in.u8();
  if (flag > 1) return bad();
  return flag == 1;
}

Result<KernelStep, ChannelError> parse_step(ByteReader& in) {
  switch (static_cast<StepKind>(in.u8())) {
    case StepKind::kSetPin: {
      DirectPath path;
      path.peer = TRY(parse_endpoint(in));
      path.ours = TRY(parse_address(in));
      path.ifindex = in.u32();
      return KernelStep{SetPin{path}};
    }
    case StepKind::kClearPin:
      return KernelStep{ClearPin{}};
    case StepKind::kSetReverse:
      return KernelStep{SetReverse{TRY(parse_endpoint(in))}};
    case StepKind::kClearReverse:
      return KernelStep{ClearReverse{TRY(parse_endpoint(in))}};
    case StepKind::kPointAt: {
      PointAt point;
      point.again = TRY(parse_flag(in));
      if (TRY(parse_flag(in))) point.endpoint = TRY(parse_endpoint(in));
      return KernelStep{point};
    }
  }
  return Fail{in.ok() ? ChannelError::kUnknownKind : ChannelError::kTruncated};
}

void write_step(ByteWriter& out, const KernelStep& step) {
  const auto kind = [&](StepKind k) { out.u8(static_cast<uint8_t>(k)); };
  std::visit(Overloaded{
                 [&](const SetPin& s) {
                   kind(StepKind::kSetPin);
                   write_endpoint(out, s.path.peer);
                   write_address(out, s.path.ours);
                   out.u32(s.path.ifindex);
                 },
                 [&](const ClearPin&) { kind(StepKind::kClearPin); },
                 [&](const SetReverse& s) {
                   kind(StepKind::kSetReverse);
                   write_endpoint(out, s.from);
                 },
                 [&](const ClearReverse& s) {
                   kind(StepKind::kClearReverse);
                   write_endpoint(out, s.from);
                 },
                 [&](const PointAt& s) {
                   kind(StepKind::kPointAt);
                   out.u8(s.again ? 1 : 0);
                   out.u8(s.endpoint ? 1 : 0);
                   if (s.endpoint) write_endpoint(out, *s.endpoint);
                 },
             },
             step);
}

bool write_prefs(ByteWriter& out, const JoinPrefs& prefs) {
  if (!write_prefixes(out, prefs.advertise_routes) || prefs.snat.size() > kMaxPrefixes) {
    return false;
  }
  out.u16(static_cast<uint16_t>(prefs.snat.size()));
  for (const auto& [prefix, on] : prefs.snat) {
    write_prefix(out, prefix);
    out.u8(on ? 1 : 0);
  }
  out.u8(prefs.accept_routes ? 1 : 0);
  out.u8(prefs.shields_up ? 1 : 0);
  return write_text(out, prefs.exit_node, kMaxText);
}

Result<JoinPrefs, ChannelError> parse_prefs(ByteReader& in) {
  JoinPrefs prefs;
  prefs.advertise_routes = TRY(parse_prefixes(in));
  const uint16_t switches = in.u16();
  if (switches > kMaxPrefixes) return Fail{ChannelError::kTooMany};
  for (uint16_t i = 0; i < switches; ++i) {
    const Prefix prefix = TRY(parse_prefix(in));
    prefs.snat.insert_or_assign(prefix, TRY(parse_flag(in)));
  }
  prefs.accept_routes = TRY(parse_flag(in));
  prefs.shields_up = TRY(parse_flag(in));
  prefs.exit_node = TRY(parse_text(in, kMaxText));
  return prefs;
}

void write_instant(ByteWriter& out, const std::optional<Instant>& at) {
  out.u8(at ? 1 : 0);
  if (at) out.u64(static_cast<uint64_t>(at->time_since_epoch().count()));
}
Result<std::optional<Instant>, ChannelError> parse_instant(ByteReader& in) {
  if (!TRY(parse_flag(in))) return std::optional<Instant>{};
  return std::optional(Instant{Duration{static_cast<int64_t>(in.u64())}});
}

}  // namespace

Result<PathSteps, ChannelError> parse_path_steps(ByteReader& in) {
  PathSteps path;
  path.peer.bytes = in.array<32>();
  const uint16_t count = in.u16();
  if (count > kMaxPathSteps) return Fail{ChannelError::kTooMany};
  path.steps.reserve(count);
  for (uint16_t i = 0; i < count; ++i) path.steps.push_back(TRY(parse_step(in)));
  return path;
}

bool write_path_steps(ByteWriter& out, const PathSteps& path) {
  if (path.steps.size() > kMaxPathSteps) return false;
  out.bytes(path.peer.bytes);
  out.u16(static_cast<uint16_t>(path.steps.size()));
  for (const KernelStep& step : path.steps) write_step(out, step);
  return true;
}

Result<Join, ChannelError> parse_join(ByteReader& in) {
  Join join;
  join.url = TRY(parse_text(in, kMaxUrl));
  join.auth_key = TRY(parse_text(in, kMaxUrl));
  join.hostname = TRY(parse_text(in, kMaxText));
  join.ca_file = TRY(parse_text(in, kMaxPath));
  join.max_netmap_age_s = in.u32();
  join.wg_port = in.u16();
  join.relay_port = in.u16();
  join.prefs = TRY(parse_prefs(in));
  return join;
}

bool write_join(ByteWriter& out, const Join& join) {
  if (!write_text(out, join.url, kMaxUrl) || !write_text(out, join.auth_key, kMaxUrl) ||
      !write_text(out, join.hostname, kMaxText) || !write_text(out, join.ca_file, kMaxPath)) {
    return false;
  }
  out.u32(join.max_netmap_age_s);
  out.u16(join.wg_port);
  out.u16(join.relay_port);
  return write_prefs(out, join.prefs);
}

Result<AgentRecord, ChannelError> parse_local_addresses(ByteReader& in) {
  LocalAddresses local;
  local.addresses = TRY(parse_prefixes(in));
  local.ipv6 = TRY(parse_flag(in));
  return AgentRecord{std::move(local)};
}

bool write_local_addresses(ByteWriter& out, const LocalAddresses& local) {
  if (!write_prefixes(out, local.addresses)) return false;
  out.u8(local.ipv6 ? 1 : 0);
  return true;
}

Result<AgentRecord, ChannelError> parse_observed(ByteReader& in) {
  Observed observed;
  observed.peer.bytes = in.array<32>();
  observed.last_tx = TRY(parse_instant(in));
  observed.last_rx = TRY(parse_instant(in));
  observed.wire_rx = in.u64();
  return AgentRecord{observed};
}

void write_observed(ByteWriter& out, const Observed& observed) {
  out.bytes(observed.peer.bytes);
  write_instant(out, observed.last_tx);
  write_instant(out, observed.last_rx);
  out.u64(observed.wire_rx);
}

}  // namespace sallyport::channel
