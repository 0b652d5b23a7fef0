// SPDX-License-Identifier: BSD-3-Clause
/// What only a node that has joined a tailnet exchanges with its agent: bodies of the channel's
/// records.
#pragma once

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/wire/agent_channel.h"

namespace sallyport::channel {

/// Readers may have bytes left afterwards. Writers say false for what is beyond the bounds;
/// something may have been written.
Result<PathSteps, ChannelError> parse_path_steps(ByteReader& in);
[[nodiscard]] bool write_path_steps(ByteWriter& out, const PathSteps& path);

Result<Join, ChannelError> parse_join(ByteReader& in);
[[nodiscard]] bool write_join(ByteWriter& out, const Join& join);

Result<AgentRecord, ChannelError> parse_local_addresses(ByteReader& in);
[[nodiscard]] bool write_local_addresses(ByteWriter& out, const LocalAddresses& local);

Result<AgentRecord, ChannelError> parse_observed(ByteReader& in);
void write_observed(ByteWriter& out, const Observed& observed);

}  // namespace sallyport::channel
