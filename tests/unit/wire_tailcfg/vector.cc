// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/wire_tailcfg/vector.h"

#include <fstream>
#include <iterator>

namespace sallyport {

std::string vector_text(const std::string& name) {
  std::ifstream file(std::string(SALLYPORT_SOURCE_DIR) + "/tests/vectors/tailcfg/" + name +
                     ".json");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace sallyport
