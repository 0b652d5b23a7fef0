// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/stored_prefs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include "agent/base/text.h"
#include "agent/options/load.h"

namespace sallyport {
namespace {

struct Flag {
  std::string_view name;  // in a request, and the key in the file
  std::string_view section;
  std::string_view word;  // as the command line has it
};
constexpr std::array<Flag, 7> kFlags{{
    {"url", "join", "--login-server"},
    {"auth_key", "join", "--auth-key"},
    {"advertise_routes", "join", "--advertise-routes"},
    {"advertise_exit_node", "join", "--advertise-exit-node"},
    {"accept_routes", "join", "--accept-routes"},
    {"snat_subnet_routes", "join", "--snat-subnet-routes"},
    {"hostname", "node", "--hostname"},
}};
/// Those that say which tailnet it is, not what is wanted of it.
constexpr std::array<std::string_view, 2> kWhere{"url", "auth_key"};

}  // namespace

Result<std::string, ControlRefusal> changed_prefs(std::string_view text, const Json& flags,
                                                  bool reset,
                                                  const std::map<std::string, Position>& stated) {
  Json prefs = Json::parse(text, nullptr, false);
  // A file that was damaged is as good as none: what is said now counts.
  if (!prefs.is_object()) prefs = Json{{"version", 1}};
  if (reset) {
    for (const Flag& flag : kFlags) {
      if (std::ranges::find(kWhere, flag.name) != kWhere.end()) continue;
      const std::string section(flag.section);
      if (prefs.contains(section)) prefs[section].erase(std::string(flag.name));
    }
  }
  for (const auto& [name, value] : flags.items()) {
    const auto flag = std::ranges::find(kFlags, std::string_view(name), &Flag::name);
    if (flag == kFlags.end()) {
      return Fail{ControlRefusal{
          ExitCode::kUsage, {{}, quote(name) + " is no preference", "sallyport set --help"}, {}}};
    }
    const std::string section(flag->section);
    const std::string key = fmt::format("{}.{}", section, name);
    const auto written = stated.find(key);
    if (written != stated.end()) {
      return Fail{
          ControlRefusal{ExitCode::kRefused,
                         {written->second,
                          fmt::format("{} is decided by {} of the configuration", flag->word, key),
                          "change it there, then: sallyport reload"},
                         {}}};
    }
    if (value.is_null()) {
      if (prefs.contains(section)) prefs[section].erase(name);
    } else {
      prefs[section][name] = value;
    }
  }
  for (const char* section : {"join", "node"}) {
    if (prefs.contains(section) && prefs[section].empty()) prefs.erase(section);
  }
  return prefs.dump(2) + "\n";
}

Result<options::Reading, std::vector<InputError>> load_configuration(
    const Directories& directories) {
  options::SourceFile prefs{directories.state + "/" + kPrefsFile, {}};
  const std::ifstream file(prefs.name);
  if (!file) return options::load_config(directories.config);
  std::ostringstream text;
  text << file.rdbuf();
  prefs.text = text.str();
  return options::load_config(directories.config, &prefs);
}

}  // namespace sallyport
