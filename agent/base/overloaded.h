// SPDX-License-Identifier: BSD-3-Clause
/// One visitor of several lambdas, for std::visit.
#pragma once

namespace sallyport {

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

}  // namespace sallyport
