// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/counters.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "agent/policy/resolve.h"

namespace sallyport {
namespace {

constexpr std::string_view kHeading = "rule-counters 1";
constexpr uint16_t kFirst = kOwnRuleCounter + 1;

/// An id in one word: whatever could end a line or a field is written as %XX.
std::string escaped(std::string_view id) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte != '%' && byte != 0x7f) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    const char* const first = text.data() + i + 1;
    if (text.size() - i < 3) return {};
    const auto [end, error] = std::from_chars(first, first + 2, byte, 16);
    if (error != std::errc{} || end != first + 2) return {};
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::string_view word(std::string_view& line) {
  const size_t end = line.find(' ');
  const std::string_view out = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return out;
}

std::optional<uint16_t> number(std::string_view text) {
  uint16_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return out;
}

}  // namespace

Result<std::vector<uint16_t>, TooManyRules> RuleCounters::assign(std::vector<Rule>& rules) {
  std::set<std::string_view> wanted;
  for (const Rule& rule : rules) {
    if (rule.counter != kOwnRuleCounter) wanted.insert(rule.id);
  }
  constexpr size_t kLimit = SP_MAX_RULES - kFirst;
  if (wanted.size() > kLimit) return Fail{TooManyRules{wanted.size(), kLimit}};

  for (auto at = live_.begin(); at != live_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
    } else {
      freed_.push_back({at->second, at->first});
      at = live_.erase(at);
    }
  }
  std::vector<uint16_t> changed;
  // All who come back to their own first: else a newcomer could be given it.
  for (const bool returning : {true, false}) {
    for (const Rule& rule : rules) {
      if (rule.counter == kOwnRuleCounter || live_.contains(rule.id)) continue;
      const auto old = std::ranges::find(freed_, rule.id, &Freed::id);
      if (returning && old != freed_.end()) {
        live_.emplace(rule.id, old->counter);
        freed_.erase(old);
      } else if (!returning) {
        live_.emplace(rule.id, take(changed));
      }
    }
  }
  for (Rule& rule : rules) {
    if (rule.counter != kOwnRuleCounter) rule.counter = live_.find(rule.id)->second;
  }
  return changed;
}

uint16_t RuleCounters::take(std::vector<uint16_t>& changed) {
  if (fresh_ < SP_MAX_RULES) return fresh_++;
  const uint16_t counter = freed_.front().counter;
  freed_.pop_front();
  changed.push_back(counter);
  return counter;
}

std::optional<uint16_t> RuleCounters::find(std::string_view id) const {
  const auto found = live_.find(id);
  if (found == live_.end()) return {};
  return found->second;
}

std::string RuleCounters::text() const {
  std::string out(kHeading);
  out += "\nfresh " + std::to_string(fresh_) + "\n";
  for (const auto& [id, counter] : live_) {
    out += "live " + std::to_string(counter) + " " + escaped(id) + "\n";
  }
  for (const Freed& freed : freed_) {
    out += "freed " + std::to_string(freed.counter) + " " + escaped(freed.id) + "\n";
  }
  return out;
}

std::optional<RuleCounters> RuleCounters::parse(std::string_view text) {
  RuleCounters out;
  std::set<uint16_t> used;
  bool headed = false;
  bool has_fresh = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};  // cut off
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (!headed) {
      if (line != kHeading) return {};
      headed = true;
      continue;
    }
    const std::string_view kind = word(line);
    const auto counter = number(word(line));
    if (!counter) return {};
    if (kind == "fresh") {
      if (*counter < kFirst || *counter > SP_MAX_RULES || has_fresh || !line.empty()) return {};
      out.fresh_ = *counter;
      has_fresh = true;
      continue;
    }
    const auto id = unescaped(line);
    if (!has_fresh || !id || *counter < kFirst || *counter >= out.fresh_) return {};
    if (!used.insert(*counter).second) return {};
    if (kind == "live") {
      if (!out.live_.emplace(*id, *counter).second) return {};
    } else if (kind == "freed") {
      out.freed_.push_back({*counter, *id});
    } else {
      return {};
    }
  }
  // Every index below `fresh` is somebody's, or take() could find none.
  if (!has_fresh || used.size() + kFirst != out.fresh_) return {};
  return out;
}

}  // namespace sallyport
