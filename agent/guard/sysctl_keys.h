// SPDX-License-Identifier: BSD-3-Clause
/// The settings of the host that a gateway needs otherwise than it may find them.
#pragma once

namespace sallyport {

constexpr const char* kForwardV4 = "net/ipv4/ip_forward";
constexpr const char* kForwardV6 = "net/ipv6/conf/all/forwarding";
/// The kernel clears this one itself when forwarding is turned on, and sets it when that is turned
/// off, whatever it was. Asked for by name so that it is saved and put back.
/// Source: net/ipv4/devinet.c inet_forward_change.
constexpr const char* kRedirectsV4 = "net/ipv4/conf/all/accept_redirects";
constexpr const char* kSendRedirectsV4 = "net/ipv4/conf/all/send_redirects";
constexpr const char* kReservedPorts = "net/ipv4/ip_local_reserved_ports";
/// Only beside a node that holds paths, and only lo's.
constexpr const char* kLoRouteLocalnet = "net/ipv4/conf/lo/route_localnet";
constexpr const char* kLoAcceptLocal = "net/ipv4/conf/lo/accept_local";

}  // namespace sallyport
