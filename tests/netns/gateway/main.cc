// SPDX-License-Identifier: BSD-3-Clause
// The agent upon the stand-in for WireGuard: composed as the shipped one, for a kernel without it.
#include <memory>

#include "agent/agentd/program.h"
#include "tests/support/other_wireguard.h"
#include "tests/support/stand_in/client.h"

namespace sallyport {
namespace {

Result<WireGuardPart> stand_in_wireguard() {
  return WireGuardPart{std::make_unique<stand_in::Client>(), stand_in::Client::observe};
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  return sallyport::run_agent(argc, argv,
                              {.probe = sallyport::probe_but_for_wireguard,
                               .open_wireguard = sallyport::stand_in_wireguard});
}
