// SPDX-License-Identifier: BSD-3-Clause
// sallyport-agent: composition only.
#include <memory>

#include "agent/agentd/program.h"
#include "kmod-glue/wireguard_ops.h"

namespace sallyport {
namespace {

Result<WireGuardPart> kernel_wireguard() {
  const auto dumps = std::make_shared<WireGuard>(TRY(WireGuard::open()));
  return WireGuardPart{std::make_unique<KernelWireGuard>(TRY(WireGuard::open())),
                       [dumps](const std::string& device) { return dumps->dump(device); }};
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  return sallyport::run_agent(
      argc, argv,
      {.probe = sallyport::probe_kernel, .open_wireguard = sallyport::kernel_wireguard});
}
