// SPDX-License-Identifier: BSD-3-Clause
/// What an agent asks of the stand-in for WireGuard, and its answers, in JSON: one message each
/// over a seqpacket socket.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/wg_message.h"

namespace sallyport::stand_in {

/// An abstract address, so it belongs to its network namespace, as the kernel's WireGuard does.
inline constexpr char kAddress[] = "\0sallyport-stand-in-wireguard";
inline constexpr size_t kMessageBytes = 128 << 10;

using Json = nlohmann::json;

/// {"dump": DEVICE} is answered by a device or null.
Json dump_request(const std::string& device);
Json to_json(const std::optional<WgObserved>& seen);
std::optional<WgObserved> observed_from(const Json& json);

/// {"steps": [...]} is answered by [[index, errno, doing], ...]: the steps that failed.
Json steps_request(std::span<const Operation> steps);
/// Steps of WireGuard only.
std::vector<Operation> steps_from(const Json& request);
struct Refusal {
  size_t index = 0;
  int error = 0;
  std::string doing;
};
Json to_json(const std::vector<Refusal>& refusals);
std::vector<Refusal> refusals_from(const Json& json);

}  // namespace sallyport::stand_in
