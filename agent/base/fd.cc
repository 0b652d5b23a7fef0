// SPDX-License-Identifier: BSD-3-Clause
#include "agent/base/fd.h"

#include <unistd.h>

namespace sallyport {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    raw_ = std::exchange(other.raw_, -1);
  }
  return *this;
}

Fd::~Fd() { reset(); }

void Fd::reset() {
  if (raw_ >= 0) ::close(raw_);
  raw_ = -1;
}

}  // namespace sallyport
