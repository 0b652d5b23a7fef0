// SPDX-License-Identifier: BSD-3-Clause
/// Messages as the reference writes them: tests/vectors/tailcfg.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

namespace sallyport {

inline std::string vector_text(const std::string& name) {
  std::ifstream file(std::string(SALLYPORT_SOURCE_DIR) + "/tests/vectors/tailcfg/" + name +
                     ".json");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace sallyport
