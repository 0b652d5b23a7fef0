// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/app.h"

int main(int argc, char** argv) { return sallyport::cli::run(argc, argv); }
