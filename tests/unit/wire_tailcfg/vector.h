// SPDX-License-Identifier: BSD-3-Clause
/// Messages as the reference writes them: tests/vectors/tailcfg.
#pragma once

#include <string>

namespace sallyport {

/// The text of NAME.json; empty: there is no such file.
std::string vector_text(const std::string& name);

}  // namespace sallyport
