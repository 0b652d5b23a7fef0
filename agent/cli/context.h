// SPDX-License-Identifier: BSD-3-Clause
/// What every verb has in common: where the agent is, how to answer, and how it ends.
#pragma once

#include <optional>
#include <string>

#include "agent/base/exit_code.h"
#include "agent/cli/client.h"

namespace sallyport::cli {

struct Context {
  std::string run_dir = "/run/sallyport";
  bool json = false;
  ExitCode exit = ExitCode::kDone;
};

void print(const std::string& text);
/// On standard error, with --json as an object on standard output too; decides the exit code.
void complain(Context& context, const Complaint& complaint);

using Renderer = std::string (*)(const Json&, bool colour);

/// Asks for one answer and prints it. Nothing: it has complained.
std::optional<Json> show(Context& context, const std::string& verb, const Json& args,
                         Renderer render);

}  // namespace sallyport::cli
