// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/url.h"

#include <gtest/gtest.h>

namespace sallyport::control {
namespace {

TEST(control_url, forms) {
  const struct {
    const char* text;
    ControlUrl url;
  } rows[] = {
      {"https://c.example", {true, "c.example", 443, false, ""}},
      {"https://c.example/", {true, "c.example", 443, false, ""}},
      {"https://c.example:8443/a/b/", {true, "c.example", 8443, true, "/a/b"}},
      {"http://192.0.2.1:80", {false, "192.0.2.1", 80, true, ""}},
      {"http://[2001:db8::1]:8080", {false, "2001:db8::1", 8080, true, ""}},
  };
  for (const auto& row : rows) {
    const auto url = ControlUrl::parse(row.text);
    ASSERT_TRUE(url) << row.text;
    EXPECT_EQ(*url, row.url) << row.text;
  }
  EXPECT_EQ(ControlUrl::parse("http://[2001:db8::1]:8080/x/")->text(),
            "http://[2001:db8::1]:8080/x");
  EXPECT_EQ(ControlUrl::parse("https://c.example")->authority(), "c.example");
}

TEST(control_url, what_is_none) {
  for (const char* text :
       {"", "c.example", "ftp://c.example", "https://", "https://:443", "https://c.example:0",
        "https://c.example:65536", "https://c.example:x", "https://u@c.example",
        "https://c.example/#f", "https://c.example/a b", "https://[c.example]", "https://[::1",
        "https://c.exa\x01mple", "https://c.example/\r\nHost: x"}) {
    EXPECT_FALSE(ControlUrl::parse(text)) << text;
  }
}

TEST(control_url, ways_to_the_channel) {
  const Leg plain80{Wrap::kPlain, 80};
  const struct {
    const char* text;
    std::vector<Leg> legs;
  } rows[] = {
      {"https://c.example", {plain80, {Wrap::kTlsUnverified, 443}}},
      {"https://c.example:8443", {plain80, {Wrap::kTlsUnverified, 8443}}},
      {"http://c.example", {plain80, {Wrap::kTlsUnverified, 443}}},
      {"http://c.example:8080", {{Wrap::kPlain, 8080}, {Wrap::kTlsUnverified, 443}}},
      {"http://192.0.2.1:8080", {{Wrap::kPlain, 8080}, {Wrap::kTlsUnverified, 443}}},
      {"http://10.1.2.3:8080", {{Wrap::kPlain, 8080}}},
      {"http://localhost", {plain80}},
      {"http://127.0.0.1:9911", {{Wrap::kPlain, 9911}}},
      {"http://[fd00::1]:9911", {{Wrap::kPlain, 9911}}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(noise_legs(*ControlUrl::parse(row.text)), row.legs) << row.text;
  }
}

}  // namespace
}  // namespace sallyport::control
