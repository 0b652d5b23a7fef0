// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/path_action.h"

namespace sallyport {

std::string_view name_of(PathState state) {
  switch (state) {
    case PathState::kIdle:
      return "idle";
    case PathState::kRelay:
      return "relay";
    case PathState::kProbing:
      return "probing";
    case PathState::kDirect:
      return "direct";
    case PathState::kDoubt:
      return "doubt";
  }
  return "";
}

std::string_view name_of(DoubtCause cause) {
  switch (cause) {
    case DoubtCause::kSilence:
      return "silence";
    case DoubtCause::kHeartbeat:
      return "heartbeat";
    case DoubtCause::kDerpData:
      return "derp_data";
    case DoubtCause::kCallMeMaybe:
      return "call_me_maybe";
    case DoubtCause::kNetwork:
      return "network";
  }
  return "";
}

}  // namespace sallyport
