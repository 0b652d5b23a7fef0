// SPDX-License-Identifier: BSD-3-Clause
/// `sallyport peer add NAME`: a plain WireGuard client in one command.
#pragma once

#include <string>

#include "agent/cli/client.h"

namespace sallyport::cli {

struct NewPeer {
  std::string configuration;  // for the client, wg-quick(8) form; holds its private key
  std::string file;           // peers.d/NAME.yaml, as written
};

/// Makes a key pair, writes peers.d/NAME.yaml beside config.yaml and reloads; if the agent does not
/// take it the file is removed again. The client's private key is in the answer and nowhere else.
Result<NewPeer, Complaint> add_peer(const std::string& run_dir, const std::string& name);

/// A QR code in half blocks, dark on light, with its quiet zone.
std::string qr_text(const std::string& content);

}  // namespace sallyport::cli
