// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/derp_target.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace sallyport {
namespace {

constexpr std::string_view kPinPrefix = "sha256-raw:";

uint16_t port_of(const DerpNode& node) { return node.derp_port == 0 ? kDerpPort : node.derp_port; }

void add_family(std::vector<IpAddress>& out, const std::string& said, bool v4,
                const std::vector<IpAddress>& found) {
  const auto of_family = [v4](const IpAddress& address) { return address.is_v4() == v4; };
  if (said.empty()) {
    std::ranges::copy_if(found, std::back_inserter(out), of_family);
  } else if (const auto address = IpAddress::parse(said); address && of_family(*address)) {
    out.push_back(*address);
  }
}

}  // namespace

Result<ConnectionTarget> derp_target(const DerpNode& node) {
  ConnectionTarget target{.host = node.host_name,
                          .port = port_of(node),
                          .tls = io::TlsClientOptions{.server_name = node.host_name,
                                                      .verify = io::VerifyName{node.cert_name}},
                          .address_timeout = kDerpAddressTimeout};
  if (node.cert_name.starts_with(kPinPrefix)) {
    const auto pin = io::VerifyPin::parse(node.cert_name);
    if (!pin) return fail(EINVAL, "the pin of " + node.host_name);
    target.tls->verify = *pin;
  } else if (node.insecure_for_tests) {
    target.tls->verify = io::VerifyNothing{};
  }
  return target;
}

std::vector<IpAddress> derp_addresses(const DerpNode& node, const std::vector<IpAddress>& found) {
  std::vector<IpAddress> literal;
  if (const auto address = IpAddress::parse(node.host_name)) literal.push_back(*address);
  const std::vector<IpAddress>& open = literal.empty() ? found : literal;
  std::vector<IpAddress> out;
  add_family(out, node.ipv4, true, open);
  add_family(out, node.ipv6, false, open);
  return out;
}

std::string derp_authority(const DerpNode& node) {
  const auto literal = IpAddress::parse(node.host_name);
  std::string out = literal && !literal->is_v4() ? "[" + node.host_name + "]" : node.host_name;
  if (port_of(node) != kDerpPort) out += ":" + std::to_string(port_of(node));
  return out;
}

}  // namespace sallyport
