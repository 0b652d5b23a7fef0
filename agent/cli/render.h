// SPDX-License-Identifier: BSD-3-Clause
/// The agent's answers as people like to read them.
#pragma once

#include <string>

#include "agent/cli/client.h"

namespace sallyport::cli {

std::string render_status(const Json& answer, bool colour);
std::string render_peers(const Json& answer, bool colour);
std::string render_rules(const Json& answer, bool colour);
std::string render_drops(const Json& answer, bool colour);
/// One line of `drops -f`.
std::string render_drop(const Json& drop, bool colour);
std::string render_flows(const Json& answer, bool colour);
std::string render_explanation(const Json& answer, bool colour);
std::string render_plan(const Json& answer, bool colour);
std::string render_findings(const Json& answer, bool colour);

}  // namespace sallyport::cli
