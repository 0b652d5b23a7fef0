// SPDX-License-Identifier: BSD-3-Clause
/// Both directions of the agent channel: what parses is written as the same bytes again.
#include <cstdlib>

#include "agent/wire/agent_channel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::channel;
  const sallyport::ByteView message(data, size);
  const auto same = [&](const auto& written) {
    if (!written) return false;
    if (size == 0) return written->empty();
    return written->size() == 1 && std::equal(message.begin(), message.end(),
                                              written->front().begin(), written->front().end());
  };
  if (const auto records = parse_node_message(message);
      records && !same(write_node_messages(*records)))
    std::abort();
  if (const auto records = parse_agent_message(message);
      records && !same(write_agent_messages(*records)))
    std::abort();
  return 0;
}
