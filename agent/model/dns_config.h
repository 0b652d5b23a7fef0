// SPDX-License-Identifier: BSD-3-Clause
/// How a tailnet's names are resolved.
/// Source: tailscale tailcfg DNSConfig, DNSRecord; types/dnstype Resolver.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/model/ip.h"

namespace sallyport {

struct DnsResolver {
  std::string addr;  // an address, ADDR:PORT, or an https:// or http:// URL
  std::vector<IpAddress> bootstrap_resolution;
  bool use_with_exit_node = false;
  friend bool operator==(const DnsResolver&, const DnsResolver&) = default;
};

struct DnsRecord {
  std::string name;
  std::string type;  // "": A or AAAA, as the value is
  std::string value;
  friend bool operator==(const DnsRecord&, const DnsRecord&) = default;
};

struct DnsConfig {
  std::vector<DnsResolver> resolvers;
  std::map<std::string, std::vector<DnsResolver>> routes;  // none: answered from the netmap
  std::vector<DnsResolver> fallback_resolvers;
  std::vector<std::string> domains;  // search list
  bool proxied = false;              // MagicDNS
  std::vector<std::string> cert_domains;
  std::vector<DnsRecord> extra_records;
  std::vector<std::string> exit_node_filtered_set;
  friend bool operator==(const DnsConfig&, const DnsConfig&) = default;
};

}  // namespace sallyport
