// SPDX-License-Identifier: BSD-3-Clause
// The agent upon a userspace WireGuard: composed as the shipped one, for a kernel without its own.
#include <memory>

#include "agent/agentd/program.h"
#include "tests/support/other_wireguard.h"
#include "tests/support/userspace_wg/client.h"

namespace sallyport {
namespace {

Result<WireGuardPart> userspace_wireguard() {
  return WireGuardPart{std::make_unique<userspace_wg::Client>(), userspace_wg::Client::observe};
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  return sallyport::run_agent(argc, argv,
                              {.probe = sallyport::probe_but_for_wireguard,
                               .open_wireguard = sallyport::userspace_wireguard});
}
