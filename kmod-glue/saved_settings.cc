// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/saved_settings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "agent/base/fd.h"

namespace sallyport {
namespace {

using Json = nlohmann::json;
constexpr size_t kMostBytes = 1024 * 1024;

Result<void> write_all(const std::string& path, const std::string& text) {
  const Fd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd.valid()) return fail(errno, "write " + path);
  for (size_t at = 0; at < text.size();) {
    const ssize_t put = ::write(fd.raw(), text.data() + at, text.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(errno, "write " + path);
    at += static_cast<size_t>(put);
  }
  if (::fsync(fd.raw()) != 0) return fail(errno, "write " + path);
  return {};
}

/// A rename is on the disk when its directory is.
Result<void> sync_directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  if (directory.empty()) directory = "/";
  const Fd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid() || ::fsync(fd.raw()) != 0) return fail(errno, "write " + directory);
  return {};
}

}  // namespace

std::string SavedSettings::text() const {
  Json list = Json::array();
  for (const auto& [offload, on] : offloads) {
    list.push_back({{"device", offload.device}, {"feature", offload.feature}, {"on", on}});
  }
  const Json all = {{"v", 1}, {"sysctls", sysctls}, {"offloads", list}};
  // Bytes that are no UTF-8 must not throw; a kernel parameter has none.
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<SavedSettings> SavedSettings::parse(std::string_view text) {
  const Json all = Json::parse(text, nullptr, false);
  if (!all.is_object() || all.value("v", Json{}) != 1) return {};
  const Json sysctls = all.value("sysctls", Json{});
  const Json offloads = all.value("offloads", Json{});
  if (!sysctls.is_object() || !offloads.is_array()) return {};

  SavedSettings saved;
  for (const auto& [key, value] : sysctls.items()) {
    if (!value.is_string()) return {};
    saved.sysctls[key] = value.get<std::string>();
  }
  for (const Json& one : offloads) {
    if (!one.is_object()) return {};
    const Json device = one.value("device", Json{});
    const Json feature = one.value("feature", Json{});
    const Json on = one.value("on", Json{});
    if (!device.is_string() || !feature.is_string() || !on.is_boolean()) return {};
    saved.offloads[{device.get<std::string>(), feature.get<std::string>()}] = on.get<bool>();
  }
  return saved;
}

Result<SavedSettings> read_saved_settings(const std::string& path) {
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd.valid() && errno == ENOENT) return SavedSettings{};
  if (!fd.valid()) return fail(errno, "read " + path);
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t got = ::read(fd.raw(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno, "read " + path);
    if (got == 0) break;
    text.append(part.data(), static_cast<size_t>(got));
    if (text.size() > kMostBytes) return fail(EFBIG, "read " + path);
  }
  auto saved = SavedSettings::parse(text);
  if (!saved) return fail(EBADMSG, "read " + path);
  return *std::move(saved);
}

Result<void> write_saved_settings(const std::string& path, const SavedSettings& saved) {
  if (saved.empty()) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errno, "remove " + path);
    return {};
  }
  const std::string beside = path + ".new";
  TRY(write_all(beside, saved.text()));
  if (::rename(beside.c_str(), path.c_str()) != 0) return fail(errno, "write " + path);
  return sync_directory_of(path);
}

}  // namespace sallyport
