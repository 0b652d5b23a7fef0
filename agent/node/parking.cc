// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/parking.h"

#include <array>

namespace sallyport {

namespace {

constexpr uint32_t kLoopback = 0x7f000000;
constexpr uint32_t kSecond = 255;  // 1 ... 255
constexpr uint32_t kThird = 256;
constexpr uint32_t kFourth = 254;  // 1 ... 254

}  // namespace

bool is_parking(const IpAddress& address) {
  if (!address.is_v4()) return false;
  const uint32_t number = address.v4_number();
  const uint32_t last = number & 0xff;
  return number >> 24 == 127 && ((number >> 16) & 0xff) != 0 && last != 0 && last != 255;
}

IpAddress parking_for(const NodeKey& key, uint32_t attempt) {
  // Keys are points on a curve, so their low bytes are as good as any hash of them.
  uint64_t place = 0;
  for (size_t i = 0; i < 8; ++i) place = (place << 8) | key.bytes[i];
  place = (place + attempt) % (uint64_t{kSecond} * kThird * kFourth);
  const auto fourth = static_cast<uint32_t>(place % kFourth) + 1;
  const auto third = static_cast<uint32_t>(place / kFourth % kThird);
  const auto second = static_cast<uint32_t>(place / kFourth / kThird) + 1;
  return IpAddress::v4(kLoopback | (second << 16) | (third << 8) | fourth);
}

}  // namespace sallyport
