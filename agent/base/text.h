// SPDX-License-Identifier: BSD-3-Clause
/// Text of strangers, made fit to be shown: names come from files and from the net.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sallyport {

/// Bytes of the well-formed UTF-8 sequence at the start of `text` (not empty); 0: there is none.
/// Source: RFC 3629 4.
size_t utf8_length(std::string_view text);

/// Whether one well-formed sequence is a control character: C0 with tab and line ends, DEL, or C1
/// (a raw 0x9b steers an 8-bit terminal).
bool is_control(std::string_view sequence);

/// Everything that is a control character or not UTF-8 as \xNN.
std::string printable(std::string_view text);

/// printable() in double quotes, with " and \ escaped, cut after 60 bytes.
std::string quote(std::string_view text);

}  // namespace sallyport
