// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/load.h"

#include <date/tz.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <stdexcept>

#include "agent/base/fd.h"
#include "agent/base/text.h"
#include "agent/options/document.h"

namespace sallyport::options {
namespace {

/// Why a file could not be read: errno, or 0 and a text of our own.
struct Unreadable {
  int number = 0;
  std::string why;
  std::string remedy;

  [[nodiscard]] std::string text() const { return number != 0 ? strerror(number) : why; }
};

enum class Privacy : uint8_t { kAnybody, kOwnerOnly };

std::string octal(mode_t mode) {
  std::string out;
  for (const unsigned shift : {9U, 6U, 3U, 0U})
    out += static_cast<char>('0' + ((mode >> shift) & 7U));
  return out;
}

/// Reads at most `limit` bytes and one more, so that the caller sees that there are more.
Result<std::string, Unreadable> read_file(const std::string& path, size_t limit, Privacy privacy) {
  // Not blocking: the path may be a FIFO that nobody writes to.
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) return Fail{Unreadable{.number = errno, .why = {}, .remedy = {}}};
  struct stat status{};
  if (fstat(file.raw(), &status) != 0) return Fail{Unreadable{errno, {}, {}}};
  if (!S_ISREG(status.st_mode)) return Fail{Unreadable{0, "not a regular file", {}}};
  const mode_t open_to_others = status.st_mode & (S_IRWXG | S_IRWXO);
  if (privacy == Privacy::kOwnerOnly && open_to_others != 0) {
    return Fail{Unreadable{
        0, "others than its owner may use it (mode " + octal(status.st_mode & 07777) + ")",
        "chmod 600 " + path}};
  }
  std::string text;
  std::array<char, 16384> buffer{};
  while (text.size() <= limit) {
    const ssize_t got = read(file.raw(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Fail{Unreadable{errno, {}, {}}};
    if (got == 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  if (privacy == Privacy::kOwnerOnly) explicit_bzero(buffer.data(), buffer.size());
  return text;
}

Result<std::optional<std::string>, std::string> read_secret(const std::string& path) {
  constexpr size_t kLongest = 4096;
  auto text = read_file(path, kLongest, Privacy::kOwnerOnly);
  if (text) return std::optional(std::move(text).value());
  const Unreadable& error = text.error();
  if (error.number == ENOENT) return std::optional<std::string>{};
  return Fail{"cannot read " + quote(path) + ": " + error.text() +
              (error.remedy.empty() ? "" : "\n" + error.remedy)};
}

std::vector<std::string> zone_names() {
  std::vector<std::string> names;
  try {
    const auto& database = date::get_tzdb();
    for (const auto& zone : database.zones) names.push_back(zone.name());
  } catch (const std::runtime_error&) {
    return {};  // no tzdata: the reader says so
  }
  std::ranges::sort(names);
  return names;
}

/// Names of *.yaml in a folder, sorted; nothing if there is no such folder.
Result<std::vector<std::string>, Unreadable> yaml_files_in(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open_folder(opendir(folder.c_str()), &closedir);
  if (!open_folder) {
    if (errno == ENOENT) return std::vector<std::string>{};
    return Fail{Unreadable{errno, {}, {}}};
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(open_folder.get())) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(".yaml") && !name.starts_with('.'))
      names.push_back(folder + "/" + entry->d_name);
  }
  std::ranges::sort(names);
  return names;
}

std::string beside(const std::string& path, const std::string& name) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? name : path.substr(0, slash + 1) + name;
}

}  // namespace

Outside this_machine() { return {.read_secret = read_secret, .zone_names = zone_names}; }

Result<Reading, std::vector<InputError>> load_config(const std::string& path,
                                                     const SourceFile* prefs) {
  std::vector<InputError> errors;
  const auto refuse = [&](const std::string& file, const Unreadable& why) {
    errors.push_back({{file, 0, 0}, "cannot be read: " + why.text(), why.remedy});
  };

  std::vector<std::string> names{path};
  const std::string folder = beside(path, "peers.d");
  if (auto more = yaml_files_in(folder)) {
    names.insert(names.end(), more->begin(), more->end());
  } else {
    refuse(folder, more.error());
  }
  std::vector<SourceFile> files;
  for (const std::string& name : names) {
    auto text = read_file(name, kMaxFileBytes, Privacy::kAnybody);
    if (text) {
      files.push_back({name, std::move(text).value()});
    } else {
      refuse(name, text.error());
    }
  }
  if (!errors.empty()) return Fail{std::move(errors)};
  return parse_config(files, this_machine(), prefs);
}

}  // namespace sallyport::options
