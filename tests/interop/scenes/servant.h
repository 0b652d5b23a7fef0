// SPDX-License-Identifier: BSD-3-Clause
/// A program of tests/interop as a child inside a namespace: it obeys lines on its standard input
/// and answers each with one line of JSON, {"ok": ...} or {"error": "..."}.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "tests/support/scene/net.h"

namespace sallyport::scene {

using Json = nlohmann::json;

struct Answer {
  Json ok;
  std::string error;  // empty: done
  explicit operator bool() const { return error.empty(); }
};

class Servant {
 public:
  Servant(std::vector<std::string> argv, const std::string& netns, const std::string& log_file);

  /// The next line it says. Nothing at the limit, or when it is gone.
  std::optional<std::string> hear(std::chrono::milliseconds limit = 30s);
  /// One order and its answer; a program that is silent or gone is an error.
  Answer order(const std::string& line, std::chrono::milliseconds limit = 30s);
  /// The answer's "ok"; fails the test unless there is one.
  Json ask(const std::string& line, std::chrono::milliseconds limit = 30s);
  /// What it has written to its standard error.
  [[nodiscard]] std::string log() const { return process_->log(); }

 private:
  Fd line_;
  std::string said_;
  std::unique_ptr<Process> process_;
};

/// The path of a program of tests/interop ("REFERENCE", "STOCK", "WIREGUARD"), which tests/run has
/// built; empty: it could not.
std::string go_program(const std::string& name);

}  // namespace sallyport::scene
