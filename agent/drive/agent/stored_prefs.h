// SPDX-License-Identifier: BSD-3-Clause
/// What `sallyport up` and `sallyport set` have said: prefs.json of the state directory, with the
/// keys of config.yaml.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/drive/agent/control_server.h"
#include "agent/drive/agent/instance.h"
#include "agent/model/position.h"
#include "agent/options/read.h"

namespace sallyport {

constexpr const char* kPrefsFile = "prefs.json";

/// The text of the file with those flags in it. `flags`: the members of the request, by the names
/// of the options ("advertise_routes": ["10.0.0.0/16"], ...), only those that were given; null
/// takes one back. `reset`: what is not named returns to its default, the server stays. `stated`:
/// see options::Reading; to change what is written there is refused (exit 4).
Result<std::string, ControlRefusal> changed_prefs(std::string_view text, const Json& flags,
                                                  bool reset,
                                                  const std::map<std::string, Position>& stated);

/// config.yaml with the prefs.
Result<options::Reading, std::vector<InputError>> load_configuration(
    const Directories& directories);

}  // namespace sallyport
