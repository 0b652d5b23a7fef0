// SPDX-License-Identifier: BSD-3-Clause
/// Keys as text: what parses is written as the same text, in lower case.
#include <cstdlib>
#include <string>

#include "agent/model/tailnet_keys.h"

namespace {

using namespace sallyport;

bool same_text(const std::string& written, std::string read) {
  for (char& c : read) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return written == read || "tlpub:" + written.substr(written.find(':') + 1) == read;
}

template <class Key>
void check(const std::string& text) {
  const auto key = Key::parse(text);
  if (key && !same_text(key->text(), text)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check<MachineKey>(text);
  check<DiscoKey>(text);
  check<ChallengeKey>(text);
  check<LockKey>(text);
  const auto node_key = parse_node_key(text);
  if (node_key && !same_text(node_key_text(*node_key), text)) std::abort();
  const auto private_key = parse_private_key(text);
  if (private_key && parse_private_key(reveal_private_key_text(*private_key)) != private_key) {
    std::abort();
  }
  if (const auto lock = LockPrivateKey::parse(text)) {
    if (!same_text(lock->reveal_text(), text)) std::abort();
  }
  return 0;
}
