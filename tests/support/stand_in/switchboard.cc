// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/stand_in/switchboard.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <variant>

#include "tests/support/scene/net.h"

namespace sallyport::stand_in {
namespace {

constexpr int kPacketsInARow = 64;  // then the other devices have their turn

Result<Fd> listen() {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, kAddress, sizeof kAddress - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof kAddress - 1);
  if (::bind(socket.raw(), reinterpret_cast<const sockaddr*>(&name), length) != 0 ||
      ::listen(socket.raw(), 8) != 0) {
    return fail(errno, "listen as WireGuard");
  }
  return socket;
}

}  // namespace

Switchboard::Switchboard() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::thread([this] { run(); });
}

Switchboard::~Switchboard() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake();
  thread_.join();
}

void Switchboard::wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.raw(), &one, sizeof one);
}

Result<void> Switchboard::serve(const std::string& netns) {
  Result<Fd> listener = fail(ENOENT, "enter " + netns);
  scene::inside(netns, [&] { listener = listen(); });
  if (!listener) return Fail{listener.error()};
  const std::lock_guard lock(mutex_);
  listeners_[netns] = *std::move(listener);
  wake();
  return {};
}

void Switchboard::forget(const std::string& netns) {
  const std::lock_guard lock(mutex_);
  listeners_.erase(netns);
  std::erase_if(devices_, [&](const auto& each) { return each.first.first == netns; });
  wake();
}

void Switchboard::remove(const std::string& netns, const std::string& device) {
  const std::lock_guard lock(mutex_);
  devices_.erase({netns, device});
  wake();
}

std::vector<Refusal> Switchboard::apply(const std::string& netns,
                                        const std::vector<Operation>& steps) {
  const std::lock_guard lock(mutex_);
  drop_the_deleted(netns);
  std::vector<Refusal> refusals;
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto done = apply_one(netns, steps[i]);
    if (!done) refusals.push_back({i, done.error().code.value(), done.error().doing});
  }
  wake();
  return refusals;
}

void Switchboard::drop_the_deleted(const std::string& netns) {
  std::erase_if(devices_, [&](const auto& each) {
    return each.first.first == netns && !each.second.exists();
  });
}

Result<void> Switchboard::apply_one(const std::string& netns, const Operation& step) {
  if (const auto* create = std::get_if<CreateLink>(&step)) {
    if (devices_.contains({netns, create->device})) return {};  // adopted
    Result<Device> made = fail(ENOENT, "enter " + netns);
    scene::inside(netns, [&] { made = Device::create(create->device); });
    if (!made) return Fail{made.error()};
    devices_.emplace(Name{netns, create->device}, *std::move(made));
    return {};
  }
  if (const auto* remove = std::get_if<DeleteLink>(&step)) {
    devices_.erase({netns, remove->device});
    return {};
  }
  const auto change = [&](const auto& set, auto&& how) -> Result<void> {
    const auto found = devices_.find({netns, set.device});
    if (found == devices_.end()) return fail(ENODEV, "set " + set.device);
    how(found->second, set);
    return {};
  };
  const auto set = [](Device& device, const auto& what) { device.set(what); };
  if (const auto* device = std::get_if<SetDevice>(&step)) return change(*device, set);
  if (const auto* peer = std::get_if<SetPeer>(&step)) return change(*peer, set);
  if (const auto* peer = std::get_if<RemovePeer>(&step)) {
    return change(*peer, [](Device& device, const RemovePeer& what) { device.remove(what); });
  }
  return fail(EOPNOTSUPP, "do what WireGuard does not");
}

void Switchboard::run() {
  for (;;) {
    std::vector<pollfd> all{{wake_.raw(), POLLIN, 0}};
    std::vector<std::string> askers;
    std::vector<Name> devices;
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      for (const auto& [netns, listener] : listeners_) {
        all.push_back({listener.raw(), POLLIN, 0});
        askers.push_back(netns);
      }
      for (const auto& [name, device] : devices_) {
        all.push_back({device.tun().raw(), POLLIN, 0});
        devices.push_back(name);
      }
    }
    ::poll(all.data(), all.size(), -1);
    if (all[0].revents != 0) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t n = ::read(wake_.raw(), &count, sizeof count);
    }
    for (size_t i = 0; i < askers.size(); ++i) {
      if (all[1 + i].revents == 0) continue;
      Fd listener;
      {
        const std::lock_guard lock(mutex_);
        const auto found = listeners_.find(askers[i]);
        if (found != listeners_.end()) listener = Fd(::dup(found->second.raw()));
      }
      if (listener.valid()) answer(askers[i], listener);
    }
    for (size_t i = 0; i < devices.size(); ++i) {
      if (all[1 + askers.size() + i].revents != 0) pump(devices[i]);
    }
  }
}

void Switchboard::answer(const std::string& netns, const Fd& listener) {
  const Fd connection(::accept4(listener.raw(), nullptr, nullptr, SOCK_CLOEXEC));
  std::string text(kMessageBytes, '\0');
  const ssize_t n = ::recv(connection.raw(), text.data(), text.size(), 0);
  if (n <= 0) return;
  text.resize(static_cast<size_t>(n));
  const Json question = Json::parse(text);
  Json reply;
  if (question.contains("dump")) {
    const std::lock_guard lock(mutex_);
    drop_the_deleted(netns);
    const auto found = devices_.find({netns, question["dump"]});
    reply = to_json(found != devices_.end() ? std::optional(found->second.seen()) : std::nullopt);
  } else {
    reply = to_json(apply(netns, steps_from(question)));
  }
  const std::string out = reply.dump();
  ::send(connection.raw(), out.data(), out.size(), MSG_NOSIGNAL);
}

void Switchboard::pump(const Name& name) {
  std::array<uint8_t, 65536> buffer;  // read fills it
  for (int i = 0; i < kPacketsInARow; ++i) {
    const std::lock_guard lock(mutex_);
    const auto found = devices_.find(name);
    if (found == devices_.end()) return;
    const ssize_t n = ::read(found->second.tun().raw(), buffer.data(), buffer.size());
    if (n < 0 && errno == EBADFD) devices_.erase(found);  // the link was deleted
    if (n <= 0) return;
    carry(found->second, std::span(buffer).first(static_cast<size_t>(n)));
  }
}

/// From one device to the other end: whose address it is decides at both.
void Switchboard::carry(Device& from, std::span<const uint8_t> packet) {
  const auto addresses = addresses_of(packet);
  if (!addresses) return;
  const WgPeer* to = from.owner(addresses->to);
  if (to == nullptr || !from.knows_where(*to) || !from.public_key()) return;
  for (auto& [name, device] : devices_) {
    if (device.public_key() != to->public_key) continue;
    const auto& known = device.seen().device.peers;
    const auto peer = known.find(*from.public_key());
    if (peer == known.end() || peer->second.preshared_key != to->preshared_key) return;
    from.on_sent(to->public_key, packet.size());
    device.on_received(*from.public_key(), packet.size());
    if (device.owner(addresses->from) != &peer->second) return;
    // A device that is down refuses it: it is lost, as on any way.
    [[maybe_unused]] const ssize_t n = ::write(device.tun().raw(), packet.data(), packet.size());
    return;
  }
}

}  // namespace sallyport::stand_in
