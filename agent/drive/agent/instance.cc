// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/instance.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <set>

#include "agent/io/file.h"

namespace sallyport {
namespace {

constexpr size_t kSmallFile = 4 << 20;

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return fail(errno, "make the directory " + path);
}

Result<std::optional<std::string>> read_optional(const std::string& path) {
  auto text = io::read_file(path, kSmallFile);
  if (text) return std::optional(std::move(*text));
  if (text.error().code == std::errc::no_such_file_or_directory)
    return std::optional<std::string>();
  return Fail{std::move(text).error()};
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

uint32_t random_below(uint32_t bound) {
  [[maybe_unused]] const int ready = sodium_init();
  return randombytes_uniform(bound);
}

// Outside of 20000-50000, where masqueraded flows are mapped to.
uint16_t random_port() { return static_cast<uint16_t>(50001 + random_below(9999)); }

}  // namespace

Result<Instance> Instance::open(Directories directories) {
  TRY(make_directory(directories.state, 0700));
  TRY(make_directory(directories.run, 0755));
  const std::string lock_file = directories.state + "/lock";
  Fd lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return fail(errno, "open " + lock_file);
  if (::flock(lock.raw(), LOCK_EX | LOCK_NB) != 0) {
    return fail(EBUSY, "another agent runs with " + directories.state);
  }
  const std::string id_file = directories.state + "/id";
  auto known = TRY(read_optional(id_file));
  std::string id = known ? trimmed(*known) : std::string();
  if (id.size() != 8 || id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    id = fmt::format("{:08x}", random_below(UINT32_MAX));
    TRY(io::write_file_atomic(id_file, id + "\n", 0600));
  }
  return Instance(std::move(directories), std::move(id), std::move(lock));
}

Result<PrivateKey> Instance::private_key(const Config& config) const {
  const std::string path = config.node.private_key_file.empty()
                               ? directories_.state + "/private.key"
                               : config.node.private_key_file;
  const auto text = TRY(read_optional(path));
  if (!text) {
    const PrivateKey key = PrivateKey::generate();
    TRY(io::write_file_atomic(path, key.reveal_text() + "\n", 0600));
    return key;
  }
  const auto key = PrivateKey::parse(trimmed(*text));
  if (!key) return fail(EINVAL, path + " holds no WireGuard key (44 characters of base64)");
  return *key;
}

Result<uint16_t> Instance::wg_port(const Config& config) const {
  if (config.node.wg_port != 0) return config.node.wg_port;
  if (const auto kept = TRY(read_port("wg_port"))) return *kept;
  const uint16_t port = random_port();
  TRY(write_state("wg_port", std::to_string(port) + "\n"));
  return port;
}

Result<NodePorts> Instance::node_ports(const Config& config) const {
  std::set<uint16_t> taken{TRY(wg_port(config))};
  const auto port = [&](const std::string& name) -> Result<uint16_t> {
    const auto kept = TRY(read_port(name));
    if (kept && taken.insert(*kept).second) return *kept;
    uint16_t chosen = random_port();
    while (!taken.insert(chosen).second) chosen = random_port();
    TRY(write_state(name, std::to_string(chosen) + "\n"));
    return chosen;
  };
  const uint16_t agent = TRY(port("agent_port"));
  return NodePorts{agent, TRY(port("relay_port"))};
}

Result<std::optional<uint16_t>> Instance::read_port(const std::string& name) const {
  const auto text = TRY(read_state(name));
  if (!text) return std::optional<uint16_t>();
  const std::string digits = trimmed(*text);
  uint16_t port = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return port != 0 ? std::optional(port) : std::nullopt;
}

Result<std::optional<std::string>> Instance::read_state(const std::string& name) const {
  return read_optional(directories_.state + "/" + name);
}

Result<void> Instance::write_state(const std::string& name, const std::string& text) const {
  return io::write_file_atomic(directories_.state + "/" + name, text, 0600);
}

Result<std::optional<std::string>> Instance::read_run(const std::string& name) const {
  return read_optional(directories_.run + "/" + name);
}

Result<void> Instance::write_run(const std::string& name, const std::string& text) const {
  return io::write_file_atomic(directories_.run + "/" + name, text, 0644);
}

void Instance::remove_run(const std::string& name) const {
  ::unlink((directories_.run + "/" + name).c_str());
}

}  // namespace sallyport
