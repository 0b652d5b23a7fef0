// SPDX-License-Identifier: BSD-3-Clause
/// The verbs of a gateway that is a member of a tailnet.
#pragma once

#include <CLI/CLI.hpp>

#include "agent/cli/context.h"

namespace sallyport::cli {

/// up, set, login, logout, ip, whois, ping, netcheck.
void add_tailnet(CLI::App& app, Context& context);

}  // namespace sallyport::cli
