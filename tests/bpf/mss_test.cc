// SPDX-License-Identifier: BSD-3-Clause
/// The MSS option on its way through: lowered to what fits into the tunnel, both ways, never
/// raised.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"

namespace sallyport::test {
namespace {

constexpr uint16_t kTunnel = 1280;

Bytes mss(uint16_t value) {
  return {2, 4, static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}
Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

struct Row {
  std::string_view name;
  Bytes options;
  Bytes expected;  // `most` stands where the tunnel's own MSS should
};

std::vector<Row> rows(uint16_t most) {
  const Bytes none{1};
  const Bytes sack{4, 2};
  const Bytes stamps{8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  const auto above = static_cast<uint16_t>(most + 1);
  const auto below = static_cast<uint16_t>(most - 1);
  const Bytes rest = sack + stamps + none + Bytes{3, 3, 7};
  const Bytes nops(16, 1);
  return {
      {"what Ethernet gives", mss(1460), mss(most)},
      {"the most there can be", mss(0xffff), mss(most)},
      {"one too many", mss(above), mss(most)},
      {"just what fits", mss(most), mss(most)},
      {"less", mss(below), mss(below)},
      {"0", mss(0), mss(0)},
      {"none", {}, {}},
      {"as Linux sends it", mss(1460) + rest, mss(most) + rest},
      {"behind others", sack + stamps + mss(1460), sack + stamps + mss(most)},
      {"at an odd place", none + mss(1460) + Bytes{1, 1, 1}, none + mss(most) + Bytes{1, 1, 1}},
      {"at an odd place, with a carry", none + mss(0xfffe) + Bytes{1, 1, 1},
       none + mss(most) + Bytes{1, 1, 1}},
      {"behind the end of options", Bytes{0, 0, 0, 0} + mss(1460), Bytes{0, 0, 0, 0} + mss(1460)},
      {"of a wrong length", Bytes{2, 3, 5, 180}, Bytes{2, 3, 5, 180}},
      {"behind an option without a length", Bytes{9, 0, 1, 1} + mss(1460),
       Bytes{9, 0, 1, 1} + mss(1460)},
      {"cut off by the header's end", nops + Bytes{1, 1, 2, 4}, nops + Bytes{1, 1, 2, 4}},
      {"behind an option that is longer than the header", Bytes{9, 40, 1, 1} + mss(1460),
       Bytes{9, 40, 1, 1} + mss(1460)},
  };
}

class Mss : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    ASSERT_NE(gateway_->load(rules_of_gateway().blob()), 0U);
    gateway_->plane().settings().wg_mtu = kTunnel;
  }
  void expect(Way way, const Bytes& given, const Bytes& expected) {
    const Seen seen = gateway_->judge(way, given);
    EXPECT_TRUE(seen.passed) << seen.verdict;
    EXPECT_EQ(seen.packet, expected);
  }
  const bool v6_ = GetParam();
  const std::string_view laptop_ = v6_ ? "fd99::2" : "10.99.0.2";
  const std::string_view laptop2_ = v6_ ? "fd99::3" : "10.99.0.3";
  const std::string_view lan_ = v6_ ? "fd07::9" : "192.168.7.9";
  const uint16_t most_ = static_cast<uint16_t>(kTunnel - (v6_ ? 60 : 40));
  std::optional<Judged> gateway_;
};

TEST_P(Mss, is_lowered_in_all_four_kinds_of_syn) {
  for (const size_t data : {0U, 9U}) {
    for (const Row& row : rows(most_)) {
      SCOPED_TRACE(row.name);
      const auto syn = [&](const Bytes& options) {
        return Segment{.flags = kSyn, .seq = 9, .options = options, .data = data};
      };
      const auto syn_ack = [&](const Bytes& options) {
        return Segment{.flags = kSyn | kAck, .seq = 9, .ack = 10, .options = options, .data = data};
      };
      gateway_->forget();
      expect(Way::kIn, tcp(laptop_, 5000, lan_, 22, syn(row.options)),
             tcp(laptop_, 5000, lan_, 22, syn(row.expected)));
      expect(Way::kOut, tcp(lan_, 22, laptop_, 5000, syn_ack(row.options)),
             tcp(lan_, 22, laptop_, 5000, syn_ack(row.expected)));
      expect(Way::kOut, tcp(lan_, 5000, laptop2_, 80, syn(row.options)),
             tcp(lan_, 5000, laptop2_, 80, syn(row.expected)));
      expect(Way::kIn, tcp(laptop2_, 80, lan_, 5000, syn_ack(row.options)),
             tcp(laptop2_, 80, lan_, 5000, syn_ack(row.expected)));
    }
  }
}

TEST_P(Mss, lies_behind_headers_of_any_length) {
  const Bytes given = tcp(laptop_, 5000, lan_, 22, {.flags = kSyn, .options = mss(1460)});
  const Bytes lowered = tcp(laptop_, 5000, lan_, 22, {.flags = kSyn, .options = mss(most_)});
  const auto behind = [&](const Bytes& packet) {
    return v6_ ? with_ext_headers(packet, {0, 60}) : with_options(packet, 40);
  };
  expect(Way::kIn, behind(given), behind(lowered));
}

TEST_P(Mss, of_other_packets_is_none) {
  expect(Way::kIn, tcp(laptop_, 5000, lan_, 22, kSyn), tcp(laptop_, 5000, lan_, 22, kSyn));
  const Bytes ack = tcp(laptop_, 5000, lan_, 22,
                        {.flags = kAck, .seq = 9, .ack = 10, .options = mss(1460), .data = 5});
  expect(Way::kIn, ack, ack);
  const Bytes query = udp(laptop_, 5000, lan_, 53, 40);
  expect(Way::kIn, query, query);
}

TEST_P(Mss, follows_the_tunnel) {
  const auto syn = [&](uint16_t value) {
    return tcp(laptop_, 5000, lan_, 22, {.flags = kSyn, .options = mss(value)});
  };
  gateway_->plane().settings().wg_mtu = 1420;
  expect(Way::kIn, syn(1460), syn(static_cast<uint16_t>(most_ + 140)));
  for (const uint32_t nonsense : {0U, 60U - (v6_ ? 0 : 20), 100'000U}) {
    gateway_->plane().settings().wg_mtu = nonsense;
    expect(Way::kIn, syn(1460), syn(1460));
  }
}

INSTANTIATE_TEST_SUITE_P(families, Mss, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

}  // namespace
}  // namespace sallyport::test
