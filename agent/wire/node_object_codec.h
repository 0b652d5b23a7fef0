// SPDX-License-Identifier: BSD-3-Clause
/// Objects of the node's state as bytes: the bodies of the agent channel's records.
#pragma once

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/node_object.h"
#include "agent/wire/agent_channel.h"

namespace sallyport::channel {

/// Reads an object off the reader, which may have bytes left afterwards.
Result<NodeObject, ChannelError> parse_object(ByteReader& in);
Result<ObjectId, ChannelError> parse_object_id(ByteReader& in);

/// False: beyond the bounds; something may have been written.
[[nodiscard]] bool write_object(ByteWriter& out, const NodeObject& object);
void write_object_id(ByteWriter& out, const ObjectId& id);

void write_prefix(ByteWriter& out, const Prefix& prefix);
Result<Prefix, ChannelError> parse_prefix(ByteReader& in);
void write_endpoint(ByteWriter& out, const Endpoint& endpoint);
Result<Endpoint, ChannelError> parse_endpoint(ByteReader& in);
void write_address(ByteWriter& out, const IpAddress& address);
Result<IpAddress, ChannelError> parse_address(ByteReader& in);

/// A text of at most `most` bytes without control characters.
Result<std::string, ChannelError> parse_text(ByteReader& in, size_t most);
[[nodiscard]] bool write_text(ByteWriter& out, std::string_view text, size_t most);

}  // namespace sallyport::channel
