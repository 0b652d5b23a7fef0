// SPDX-License-Identifier: BSD-3-Clause
/// Which counter of the kernel's "rule_hits" is whose: the same for an id over policies and
/// restarts.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/rule.h"

namespace sallyport {

struct TooManyRules {
  size_t rules = 0;
  size_t limit = 0;
};

/// A value. Indices run from kOwnRuleCounter + 1 to SP_MAX_RULES - 1. One that a rule gave up is
/// handed out again only when no fresh one is left, the longest free first, so that a reader who is
/// late does not take one rule's hits for another's; till then its old rule may have it back.
class RuleCounters {
 public:
  /// Gives each rule its counter and frees those of ids that are not among them; a rule that has no
  /// time to be open belongs into `rules` too. Rules with one id share a counter. The answer lists
  /// the indices that changed hands: their old counts must be zeroed before use. On an error
  /// nothing has changed.
  Result<std::vector<uint16_t>, TooManyRules> assign(std::vector<Rule>& rules);

  [[nodiscard]] std::optional<uint16_t> find(std::string_view id) const;

  /// One record a line, for a file in the state directory.
  [[nodiscard]] std::string text() const;
  /// Nothing: not what text() wrote. The right answer is then to start afresh and zero all
  /// counters.
  static std::optional<RuleCounters> parse(std::string_view text);

  friend bool operator==(const RuleCounters&, const RuleCounters&) = default;

 private:
  struct Freed {
    uint16_t counter = 0;
    std::string id;
    friend bool operator==(const Freed&, const Freed&) = default;
  };
  uint16_t take(std::vector<uint16_t>& changed);

  std::map<std::string, uint16_t, std::less<>> live_;
  std::deque<Freed> freed_;  // the longest free first
  uint16_t fresh_ = 2;       // the next that nobody ever had
};

}  // namespace sallyport
