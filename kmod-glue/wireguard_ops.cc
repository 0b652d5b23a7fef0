// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/wireguard_ops.h"

#include <utility>
#include <variant>

namespace sallyport {

Result<std::optional<WgDevice>> KernelWireGuard::dump(const std::string& device) {
  auto seen = TRY(wireguard_.dump(device));
  if (!seen) return std::optional<WgDevice>{};
  return std::optional{std::move(seen->device)};
}

Result<void> KernelWireGuard::create_link(const CreateLink& step) {
  auto done = wireguard_.create_link(step.device);
  if (!done && done.error().code == std::errc::file_exists) return {};
  return done;
}

Result<void> KernelWireGuard::delete_link(const DeleteLink& step) {
  auto done = wireguard_.delete_link(step.device);
  if (!done && done.error().code == std::errc::no_such_device) return {};
  return done;
}

Result<void> KernelWireGuard::set_device(const SetDevice& step) { return wireguard_.apply(step); }

std::vector<Failure> KernelWireGuard::change_peers(std::span<const Operation> steps) {
  std::vector<Failure> failures;
  for (size_t at = 0; at < steps.size();) {
    if (const auto* remove = std::get_if<RemovePeer>(&steps[at])) {
      auto done = wireguard_.apply(*remove);
      if (!done) failures.push_back({at, std::move(done).error()});
      ++at;
      continue;
    }
    std::vector<SetPeer> run;
    for (size_t i = at; i < steps.size(); ++i) {
      const auto* set = std::get_if<SetPeer>(&steps[i]);
      if (set == nullptr) break;
      run.push_back(*set);
    }
    for (Failure& failure : set_peers(run, at)) failures.push_back(std::move(failure));
    at += run.size();
  }
  return failures;
}

/// All at once; if the kernel refuses, one by one, so that one bad peer costs only itself. Setting
/// a peer a second time changes nothing.
std::vector<Failure> KernelWireGuard::set_peers(const std::vector<SetPeer>& peers,
                                                size_t first_index) {
  if (wireguard_.apply(peers)) return {};
  std::vector<Failure> failures;
  for (size_t i = 0; i < peers.size(); ++i) {
    auto done = wireguard_.apply(peers[i]);
    if (!done) failures.push_back({first_index + i, std::move(done).error()});
  }
  return failures;
}

}  // namespace sallyport
