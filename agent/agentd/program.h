// SPDX-License-Identifier: BSD-3-Clause
/// sallyport-agent as a program: from the command line to the exit code.
#pragma once

#include "agent/base/result.h"
#include "agent/drive/agent/agent.h"
#include "kmod-glue/probe.h"

namespace sallyport {

/// What it stands on.
struct Ground {
  Probe (*probe)();
  Result<WireGuardPart> (*open_wireguard)();
};

/// Serves until it is told to end. Replaces the process by a fresh one of the same program where
/// only that helps.
int run_agent(int argc, char** argv, const Ground& ground);

}  // namespace sallyport
