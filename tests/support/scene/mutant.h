// SPDX-License-Identifier: BSD-3-Clause
/// A gateway whose programs judge nothing, for the test of the tests.
#pragma once

#include <string>

namespace sallyport::scene {

/// Whether the gateways of this process are to be mutants: SALLYPORT_TEST_DETACH=1.
bool mutants_wanted();
/// Takes the programs out of all links that are pinned for this state folder and puts one in that
/// lets everything pass. To the agent they look attached, so it repairs nothing. How many links.
int detach_programs(const std::string& state_dir);

}  // namespace sallyport::scene
