// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/derp_names.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sallyport {

namespace {

bool is_of(const IpAddress& address, IpFamily family) {
  return address.is_v4() == (family == IpFamily::kV4);
}

/// What the map itself says; "" asks for a lookup, "none" for nothing.
const std::string& named(const DerpNode& node, IpFamily family) {
  return family == IpFamily::kV4 ? node.ipv4 : node.ipv6;
}

bool needs_lookup(const DerpNode& node, bool has_v6) {
  if (node.stun_port < 0 || !node.stun_test_ip.empty()) return false;
  if (node.host_name.empty() || IpAddress::parse(node.host_name)) return false;
  return node.ipv4.empty() || (has_v6 && node.ipv6.empty());
}

}  // namespace

std::vector<std::string> DerpNames::due(const DerpMap& map, bool has_v6, Instant now) {
  std::set<std::string> wanted;
  for (const auto& [id, region] : map.regions) {
    for (const DerpNode& node : region.nodes) {
      if (needs_lookup(node, has_v6) && wanted.size() < kMaxDerpNames)
        wanted.insert(node.host_name);
    }
  }
  std::erase_if(names_, [&](const auto& name) { return !wanted.contains(name.first); });
  std::vector<std::string> out;
  for (const std::string& host : wanted) {
    const auto [name, is_new] = names_.try_emplace(host);
    if (!is_new && (name->second.under_way || now < name->second.asked + kNameRefresh)) continue;
    name->second.asked = now;
    name->second.under_way = true;
    out.push_back(host);
  }
  return out;
}

void DerpNames::on_lookup(const std::string& host, const std::vector<IpAddress>& found) {
  const auto name = names_.find(host);
  if (name == names_.end()) return;
  name->second.under_way = false;
  if (!found.empty()) name->second.found = found;
}

bool DerpNames::waiting() const {
  return std::ranges::any_of(
      names_, [](const auto& name) { return name.second.under_way && name.second.found.empty(); });
}

std::optional<Endpoint> DerpNames::stun_server(const DerpNode& node, IpFamily family) const {
  if (node.stun_port < 0 || node.stun_port > UINT16_MAX) return {};
  const auto port = node.stun_port == 0 ? kStunPort : static_cast<uint16_t>(node.stun_port);
  const auto at = [&](const std::string& text) -> std::optional<Endpoint> {
    const auto address = IpAddress::parse(text);
    if (!address || !is_of(*address, family)) return {};
    return Endpoint{*address, port};
  };
  if (!node.stun_test_ip.empty()) return at(node.stun_test_ip);
  if (!named(node, family).empty()) return at(named(node, family));
  if (const auto literal = at(node.host_name)) return literal;
  const auto name = names_.find(node.host_name);
  if (name == names_.end()) return {};
  const auto found = std::ranges::find_if(
      name->second.found, [&](const IpAddress& address) { return is_of(address, family); });
  if (found == name->second.found.end()) return {};
  return Endpoint{*found, port};
}

}  // namespace sallyport
