// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "agent/base/fd.h"

namespace sallyport {
namespace {

// The longest, ip_local_reserved_ports, is a bitmap of all ports in words.
constexpr size_t kMostBytes = 256 * 1024;

/// A key may not lead out of /proc/sys.
bool is_inside(std::string_view key) {
  return !key.empty() && key.front() != '/' && key.find("..") == std::string_view::npos &&
         key.find('\0') == std::string_view::npos;
}

}  // namespace

Result<std::optional<std::string>> read_sysctl(const std::string& key) {
  const std::string doing = "read sysctl " + key;
  if (!is_inside(key)) return fail(EINVAL, doing);
  const Fd fd{::open(("/proc/sys/" + key).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid() && errno == ENOENT) return std::optional<std::string>{};
  if (!fd.valid()) return fail(errno, doing);

  std::string value;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t got = ::read(fd.raw(), part.data(), part.size());
    if (got < 0) return fail(errno, doing);
    if (got == 0) break;
    value.append(part.data(), static_cast<size_t>(got));
    if (value.size() > kMostBytes) return fail(EFBIG, doing);
  }
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return std::optional{std::move(value)};
}

Result<void> write_sysctl(const std::string& key, const std::string& value) {
  const std::string doing = "set sysctl " + key + " to " + value;
  if (!is_inside(key)) return fail(EINVAL, doing);
  const Fd fd{::open(("/proc/sys/" + key).c_str(), O_WRONLY | O_CLOEXEC)};
  if (!fd.valid()) return fail(errno, doing);
  // One write: the kernel parses each write for itself. The newline makes an empty value a value.
  const std::string line = value + "\n";
  const ssize_t put = ::write(fd.raw(), line.data(), line.size());
  if (put < 0) return fail(errno, doing);
  if (static_cast<size_t>(put) != line.size()) return fail(EINVAL, doing);
  return {};
}

}  // namespace sallyport
