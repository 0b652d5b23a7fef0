// SPDX-License-Identifier: BSD-3-Clause
/// Completion scripts, made from the command table.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace sallyport::cli {

/// `shell`: bash, zsh or fish.
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace sallyport::cli
