// SPDX-License-Identifier: BSD-3-Clause
/// Why a JSON document was not taken.
#pragma once

#include <string>

namespace sallyport::tailcfg {

struct JsonError {
  /// Where: "$.Peers[3].Key". "$" where the document is no JSON at all.
  std::string path;
  std::string what;

  [[nodiscard]] std::string text() const { return path + ": " + what; }
  friend bool operator==(const JsonError&, const JsonError&) = default;
};

}  // namespace sallyport::tailcfg
