// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "agent/base/fd.h"

namespace sallyport::io {
namespace {

constexpr size_t kChunkBytes = size_t{64} * 1024;

Result<void> write_all(int fd, std::string_view content, const std::string& doing) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(errno, doing);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The file behind `temporary` takes the place of `path`.
Result<void> publish(const Fd& fd, const std::string& temporary, const std::string& path,
                     std::string_view content, mode_t mode) {
  const std::string doing = "write " + path;
  if (::fchmod(fd.raw(), mode) != 0) return fail(errno, doing);
  TRY(write_all(fd.raw(), content, doing));
  if (::fsync(fd.raw()) != 0) return fail(errno, doing);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno, doing);
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t limit_bytes) {
  const std::string doing = "read " + path;
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd.valid()) return fail(errno, doing);
  struct stat about{};
  if (::fstat(fd.raw(), &about) != 0) return fail(errno, doing);
  if (!S_ISREG(about.st_mode)) return fail(S_ISDIR(about.st_mode) ? EISDIR : EINVAL, doing);

  // The size is not believed: procfs says 0, and a file may grow while it is read.
  std::string out;
  for (;;) {
    const size_t before = out.size();
    out.resize(before + kChunkBytes);
    const ssize_t count = ::read(fd.raw(), out.data() + before, kChunkBytes);
    const int error = errno;
    out.resize(before + (count > 0 ? static_cast<size_t>(count) : 0));
    if (count < 0 && error == EINTR) continue;
    if (count < 0) return fail(error, doing);
    if (out.size() > limit_bytes) return fail(EFBIG, doing);
    if (count == 0) return out;
  }
}

Result<void> write_file_atomic(const std::string& path, std::string_view content, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  const Fd fd{::mkostemp(temporary.data(), O_CLOEXEC)};  // 0600
  if (!fd.valid()) return fail(errno, "write " + path);
  Result<void> published = publish(fd, temporary, path, content, mode);
  if (!published) {
    (void)::unlink(temporary.c_str());
    return published;
  }
  // The new name has to outlive a power cut as well.
  const Fd folder{::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder.valid() || ::fsync(folder.raw()) != 0)
    return fail(errno, "sync the folder of " + path);
  return {};
}

}  // namespace sallyport::io
