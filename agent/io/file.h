// SPDX-License-Identifier: BSD-3-Clause
/// Whole small files: configuration, state, RUN/<name>.ready.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace sallyport::io {

/// The bytes of a regular file. Errors: EFBIG if there are more than `limit_bytes`; EISDIR or
/// EINVAL for what is no regular file (a FIFO is not waited for).
[[nodiscard]] Result<std::string> read_file(const std::string& path, size_t limit_bytes);

/// Whoever reads `path`, even after a crash of the machine, sees the old or the new content, whole,
/// and never with wider permissions than `mode` (which umask does not narrow).
Result<void> write_file_atomic(const std::string& path, std::string_view content, mode_t mode);

}  // namespace sallyport::io
