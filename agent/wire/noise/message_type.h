// SPDX-License-Identifier: BSD-3-Clause
/// The byte that says what a message of the control protocol is.
/// Source: tailscale control/controlbase/messages.go.
#pragma once

#include <cstdint>

namespace sallyport::noise {

enum class MessageType : uint8_t { kInitiation = 1, kResponse = 2, kError = 3, kRecord = 4 };

}  // namespace sallyport::noise
