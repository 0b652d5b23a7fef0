// SPDX-License-Identifier: BSD-3-Clause
/// The agent's first message, read before the node shuts itself in: it says whether there is a
/// tailnet to join, which takes threads, buffers and files that no sandbox gives.
#pragma once

#include <optional>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

struct Opening {
  std::vector<channel::AgentRecord> records;
  std::vector<Fd> fds;  // of channel::Join, if it is among the records
};

/// Waits for it. Errors: ETIMEDOUT; EBADMSG, it is none; EPIPE, the agent is gone.
Result<Opening> read_opening(const Fd& agent);

}  // namespace sallyport
