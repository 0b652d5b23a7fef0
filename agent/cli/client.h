// SPDX-License-Identifier: BSD-3-Clause
/// Asks the running agent over its root-only socket, RUN/agent.sock: one JSON line there, one or
/// more back, then the connection ends.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/base/exit_code.h"
#include "agent/base/result.h"

namespace sallyport::cli {

using Json = nlohmann::ordered_json;

/// The "error" object of interfaces.
struct Complaint {
  ExitCode code = ExitCode::kFailed;
  std::string message;
  std::string file;
  unsigned line = 0;
  unsigned column = 0;
  std::string hint;
  std::vector<std::string> more = {};  // further complaints about the same input

  static Complaint from_json(const Json& error);
  [[nodiscard]] Json json() const;
  /// FILE:LINE:COLUMN: message (hint)
  [[nodiscard]] std::string text() const;
};

/// Calls `on_answer` for each line until the agent closes, or until it returns false. An answer
/// with a member "error" ends it as that complaint.
Result<void, Complaint> ask(const std::string& run_dir, const std::string& verb, const Json& args,
                            const std::function<bool(const Json&)>& on_answer);
/// For verbs with exactly one answer.
Result<Json, Complaint> ask_once(const std::string& run_dir, const std::string& verb,
                                 const Json& args = Json::object());

}  // namespace sallyport::cli
