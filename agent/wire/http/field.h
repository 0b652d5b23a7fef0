// SPDX-License-Identifier: BSD-3-Clause
/// Header fields, of HTTP/1.1 and HTTP/2 alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/clock.h"

namespace sallyport::http {

/// Names are compared without regard to case; HTTP/2 sends them in lower case.
struct Field {
  std::string name;
  std::string value;
  friend bool operator==(const Field&, const Field&) = default;
};
using Fields = std::vector<Field>;

/// The value of the first field of this name.
std::optional<std::string_view> find(const Fields& fields, std::string_view name);

/// "Sun, 06 Nov 1994 08:49:37 GMT", the one form that is sent today. Source: RFC 9110 5.6.7.
std::optional<WallTime> parse_date(std::string_view text);

}  // namespace sallyport::http
