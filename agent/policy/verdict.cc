// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/verdict.h"

#include <array>

namespace sallyport {
namespace {

struct Words {
  std::string_view name;
  std::string_view text;
};
#define SALLYPORT_WORDS(id, name, text) Words{name, text},
constexpr std::array<Words, SP_VERDICT_COUNT> kWords{{SP_VERDICTS(SALLYPORT_WORDS)}};
#undef SALLYPORT_WORDS
static_assert(SP_VERDICT_COUNT <= SP_VERDICT_SLOTS);

}  // namespace

std::string_view name_of(sp_verdict verdict) {
  const auto at = static_cast<size_t>(verdict);
  return at < kWords.size() ? kWords.at(at).name : std::string_view{};
}

std::string_view text_of(sp_verdict verdict) {
  const auto at = static_cast<size_t>(verdict);
  return at < kWords.size() ? kWords.at(at).text : std::string_view{};
}

std::optional<sp_verdict> parse_verdict(std::string_view name) {
  for (size_t i = 0; i < kWords.size(); ++i) {
    if (kWords.at(i).name == name) return static_cast<sp_verdict>(i);
  }
  return {};
}

}  // namespace sallyport
