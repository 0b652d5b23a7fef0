// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/http/field.h"

#include <algorithm>

namespace sallyport::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::optional<std::string_view> find(const Fields& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (std::ranges::equal(field.name, name, {}, lower, lower)) return field.value;
  }
  return std::nullopt;
}

}  // namespace sallyport::http
