// SPDX-License-Identifier: BSD-3-Clause
/// Any bytes as config.yaml and as a file of peers.d: a configuration, or complaints that can be
/// shown to a terminal.
#include <cstdlib>

#include "agent/options/read.h"

namespace {

using sallyport::InputError;
using namespace sallyport::options;

void require(bool good) {
  if (!good) abort();
}

void check_shown(const InputError& error) {
  require(!error.message.empty());
  for (const char c : error.text()) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Outside outside{
      .read_secret = [](const std::string& path)
          -> sallyport::Result<std::optional<std::string>, std::string> {
        if (path.size() % 2 == 0) return std::optional<std::string>{};
        return std::optional<std::string>("AFxkRkGxJgoMqnsjsbKXVPmTrdxbmpLVTRZd2RoiHGc=\n");
      },
      .zone_names = [] { return std::vector<std::string>{"Europe/Berlin", "UTC"}; }};

  const std::vector<SourceFile> alone{{"config.yaml", text}};
  const std::vector<SourceFile> beside{{"config.yaml", "version: 1\n"}, {"peers.d/a.yaml", text}};
  for (const auto& files : {alone, beside}) {
    const auto reading = parse_config(files, outside);
    if (reading) {
      for (const InputError& warning : reading->warnings) check_shown(warning);
      continue;
    }
    require(!reading.error().empty() && reading.error().size() <= 21);
    for (const InputError& error : reading.error()) check_shown(error);
  }
  return 0;
}
