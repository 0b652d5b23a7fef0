// SPDX-License-Identifier: BSD-3-Clause
/// The command table of `sallyport`: verbs, options, help, completion.
#pragma once

namespace sallyport::cli {

/// Runs one command line; the exit code.
int run(int argc, char** argv);

}  // namespace sallyport::cli
