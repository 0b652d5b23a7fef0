// SPDX-License-Identifier: BSD-3-Clause
/// How a command of ours ends; a promise to scripts.
#pragma once

namespace sallyport {

enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kInvalidInput = 3,  // configuration, policy or input
  kRefused = 4,       // not root, not authorised
  kUnreachable = 5,   // daemon or server
  kUnsupported = 6,   // kernel or package lacks something
  kTimedOut = 7,
  kAnswerIsNo = 10,
};

}  // namespace sallyport
