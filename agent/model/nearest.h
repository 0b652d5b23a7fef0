// SPDX-License-Identifier: BSD-3-Clause
/// "Did you mean ...": the known word that a mistyped one is closest to.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sallyport {

/// How many letters must be put in, taken out, exchanged or swapped with their neighbour (the
/// restricted Damerau-Levenshtein distance). Bytes, not code points; upper and lower case differ.
size_t edit_distance(std::string_view a, std::string_view b);

/// The closest of `known`, if it is close enough to be what was meant: at most a third of the
/// longer word's letters differ, and at least one edit is always forgiven. The first of equals.
/// Words longer than 256 bytes have no neighbour.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known);

}  // namespace sallyport
