// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace sallyport::io {

void KernelRandom::fill(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t count = ::getrandom(out.data(), out.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) std::abort();  // no key may come of it
    out = out.subspan(static_cast<size_t>(count));
  }
}

}  // namespace sallyport::io
