// SPDX-License-Identifier: BSD-3-Clause
/// The gateway that the tests of the access rules speak of.
///
///   laptop 1  10.99.0.2, fd99::2          |            LAN 192.168.7.0/24, fd07::/64
///   laptop 2  10.99.0.3, fd99::3          +- gateway -
///   member 3  10.99.0.4, fd99::4, open    |  10.99.0.1  the internet: everything else
///
/// laptop 1 -> LAN: TCP 22 and 80-89 (rule 1), UDP 53 (rule 2), SCTP 3868 (rule 5), GRE (rule 6),
/// so echo too; TCP 8080 is above the ceiling. LAN -> laptop 2: TCP 80 (rule 3), UDP 53 (rule 4).
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"
#include "tests/bpf/policy_builder.h"

namespace sallyport::test {

inline constexpr uint16_t kLaptop1 = 1, kLaptop2 = 2, kMember = 3, kSelf = 4, kLan = 5,
                          kMetadata = 6;

inline PolicyBuilder addresses_of_gateway() {
  PolicyBuilder policy;
  policy.addresses("10.99.0.1", SP_PEER_SELF, kSelf)
      .addresses("fd99::1", SP_PEER_SELF, kSelf)
      .addresses("10.99.0.2", 1, kLaptop1)
      .addresses("fd99::2", 1, kLaptop1)
      .addresses("10.99.0.3", 2, kLaptop2)
      .addresses("fd99::3", 2, kLaptop2)
      .addresses("10.99.0.4", 3, kMember)
      .addresses("fd99::4", 3, kMember)
      .addresses("192.168.7.0/24", 0, kLan)
      .addresses("fd07::/64", 0, kLan)
      .addresses("169.254.169.254", 0, kMetadata)
      .reason(kLaptop1, kMetadata, SP_DROP_METADATA)
      .reason(kLaptop1, 0, SP_DROP_EXIT_LOCAL);
  return policy;
}

inline PolicyBuilder rules_of_gateway() {
  PolicyBuilder policy = addresses_of_gateway();
  policy.allow(kLaptop1, kLan, 6, 22, 22, 1)
      .allow(kLaptop1, kLan, 6, 80, 89, 1)
      .allow(kLaptop1, kLan, 6, 8080, 8080, SP_RULE_CEILING)
      .allow(kLaptop1, kLan, 17, 53, 53, 2)
      .allow(kLaptop1, kLan, 132, 3868, 3868, 5)
      .allow(kLaptop1, kLan, 47, 0, 0, 6)
      .allow(kLan, kLaptop2, 6, 80, 80, 3)
      .allow(kLan, kLaptop2, 17, 53, 53, 4);
  return policy;
}

}  // namespace sallyport::test
