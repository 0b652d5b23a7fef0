// SPDX-License-Identifier: BSD-3-Clause
/// The file of what sysctls and NIC offloads were before we changed them: `down` puts them back
/// after a crash or a reboot as well. What is to be remembered is decided elsewhere.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"

namespace sallyport {

struct SavedSettings {
  std::map<std::string, std::string> sysctls;
  std::map<Offload, bool> offloads;

  [[nodiscard]] bool empty() const { return sysctls.empty() && offloads.empty(); }
  /// JSON, one line.
  [[nodiscard]] std::string text() const;
  /// Nothing: not what text() writes.
  static std::optional<SavedSettings> parse(std::string_view text);
  friend bool operator==(const SavedSettings&, const SavedSettings&) = default;
};

/// A file that is not there is an empty value; EBADMSG: it is not one of ours.
Result<SavedSettings> read_saved_settings(const std::string& path);
/// Atomic, and on the disk when it returns; an empty value removes the file. Mode 0600.
Result<void> write_saved_settings(const std::string& path, const SavedSettings& saved);

}  // namespace sallyport
