// SPDX-License-Identifier: BSD-3-Clause
/// What the tests of the reader share: a machine that is only pretended.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/options/read.h"

namespace sallyport::options {

inline constexpr const char* kKeyA = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";
inline constexpr const char* kKeyB = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
inline constexpr const char* kKeyC = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

/// Files that exist are what they hold; those that begin with "!" are errors.
inline Outside pretend(std::map<std::string, std::string> files = {}) {
  return {.read_secret =
              [files](const std::string& path) -> Result<std::optional<std::string>, std::string> {
            const auto file = files.find(path);
            if (file == files.end()) return std::optional<std::string>{};
            if (file->second.starts_with('!')) return Fail{file->second.substr(1)};
            return std::optional(file->second);
          },
          .zone_names =
              [] {
                return std::vector<std::string>{"America/New_York", "Europe/Berlin",
                                                "Europe/Paris"};
              }};
}

inline Result<Reading, std::vector<InputError>> read_one(const std::string& text,
                                                         const Outside& outside = pretend()) {
  const std::vector<SourceFile> files{{"/etc/sallyport/config.yaml", text}};
  return parse_config(files, outside);
}

/// The complaints as people see them, the file's name cut to c.yaml.
inline std::vector<std::string> complaints(const Result<Reading, std::vector<InputError>>& result) {
  constexpr std::string_view kLong = "/etc/sallyport/config.yaml";
  std::vector<std::string> out;
  if (result) return out;
  for (const InputError& error : result.error()) {
    std::string text = error.text();
    for (auto at = text.find(kLong); at != std::string::npos; at = text.find(kLong)) {
      text.replace(at, kLong.size(), "c.yaml");
    }
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace sallyport::options
