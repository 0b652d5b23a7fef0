// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/saved_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sallyport {

std::string saved_text(const Saved& saved) {
  nlohmann::json out{{"sysctls", saved.sysctls}, {"offloads", nlohmann::json::array()}};
  for (const auto& [offload, on] : saved.offloads) {
    out["offloads"].push_back({offload.device, offload.feature, on});
  }
  return out.dump() + "\n";
}

std::optional<Saved> parse_saved(std::string_view text) {
  const auto in = nlohmann::json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("sysctls") || !in.contains("offloads")) return {};
  Saved out;
  for (const auto& [key, value] : in["sysctls"].items()) {
    if (!value.is_string()) return {};
    out.sysctls[key] = value.get<std::string>();
  }
  for (const auto& entry : in["offloads"]) {
    if (!entry.is_array() || entry.size() != 3 || !entry[0].is_string() || !entry[1].is_string() ||
        !entry[2].is_boolean()) {
      return {};
    }
    out.offloads[{entry[0], entry[1]}] = entry[2].get<bool>();
  }
  return out;
}

std::string asked_text(const AskedEndpoints& asked) {
  std::string out;
  for (const auto& [key, endpoint] : asked) {
    out += key.text() + " " + (endpoint ? endpoint->text() : "-") + "\n";
  }
  return out;
}

AskedEndpoints parse_asked(std::string_view text) {
  AskedEndpoints out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    const auto key = PublicKey::parse(line.substr(0, space));
    const std::string_view where = line.substr(space + 1);
    const auto endpoint = Endpoint::parse(where);
    if (key && (endpoint || where == "-")) out.insert_or_assign(*key, endpoint);
  }
  return out;
}

}  // namespace sallyport
