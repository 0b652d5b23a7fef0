// SPDX-License-Identifier: BSD-3-Clause
/// The steps from what the kernel has to what we want of it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/kernel_state.h"

namespace sallyport {

/// The endpoints that we asked for last, by peer; nothing where we asked for none. The kernel moves
/// endpoints by itself, so an observed one that differs is no reason to set it again, but a changed
/// wish is. A peer of whom nothing is known keeps any endpoint that it has.
using AskedEndpoints = std::map<PublicKey, std::optional<Endpoint>>;
AskedEndpoints asked_endpoints(const KernelState& desired);

/// Operations in the order in which they are to be applied; none if nothing differs.
///
/// Order: no packet passes unjudged and no flow starts without its source NAT, so programs and nft
/// stand before the link goes up, and the link is down before they go. An operation that fails
/// where `holds_back` says so ends the run: what follows would open something. All of `desired`
/// absent takes down whatever is there.
std::vector<Operation> reconcile(const KernelState& desired, const KernelState& observed,
                                 const AskedEndpoints& asked = {});

/// Must nothing more be applied if this one failed?
bool holds_back(const Operation& operation);

/// An operation in words, for `sallyport plan` and the log. Never a secret.
struct Description {
  std::string op;      // "set-peer"
  std::string object;  // "sallyport0 peer BASE64"
  std::string detail;  // "endpoint 192.0.2.1:51820, keepalive 25 s"; may be empty
};
Description describe(const Operation& operation);

}  // namespace sallyport
