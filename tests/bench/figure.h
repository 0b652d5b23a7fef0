// SPDX-License-Identifier: BSD-3-Clause
/// A measured figure, its baseline of the same run, and the line that says both. A bench is a
/// program of its own: `bench_NAME [--filter REGEX]`, one JSON line a figure on stdout, nothing
/// else there.
#pragma once

#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::bench {

/// Repeated measurements of one thing, all in the same unit.
class Samples {
 public:
  Samples() = default;
  explicit Samples(std::vector<double> values) : values_(std::move(values)) {}

  void add(double value) { values_.push_back(value); }
  [[nodiscard]] std::size_t count() const { return values_.size(); }
  [[nodiscard]] double median() const { return quantile(0.5); }

  /// The middle half's width over the median: 0.05 says that half of the samples lie within 5 %.
  [[nodiscard]] double spread() const {
    const double middle = median();
    return middle == 0 ? 0 : (quantile(0.75) - quantile(0.25)) / middle;
  }

  /// 0 <= part <= 1, between neighbours in proportion. 0 without samples.
  [[nodiscard]] double quantile(double part) const {
    if (values_.empty()) return 0;
    std::vector<double> sorted = values_;
    std::ranges::sort(sorted);
    const double at = part * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
  }

 private:
  std::vector<double> values_;
};

/// A bound on the ratio if the figure has a baseline, else on the figure itself.
struct Goal {
  enum class Kind { kAtMost, kAtLeast } kind;
  double bound;

  [[nodiscard]] bool met(double value) const {
    return kind == Kind::kAtMost ? value <= bound : value >= bound;
  }
  [[nodiscard]] std::string text() const {
    return (kind == Kind::kAtMost ? "<=" : ">=") + nlohmann::json(bound).dump();
  }
};
[[nodiscard]] inline Goal at_most(double bound) { return {Goal::Kind::kAtMost, bound}; }
[[nodiscard]] inline Goal at_least(double bound) { return {Goal::Kind::kAtLeast, bound}; }

struct Baseline {
  std::string name;
  Samples samples;
};

struct Figure {
  std::string name;  ///< "acl.hit.10000"
  std::string unit;  ///< "ns", "MB", ...: the baseline's too
  Samples samples;
  std::optional<Baseline> baseline = std::nullopt;
  std::optional<Goal> goal = std::nullopt;
};

/// "tcg" in an emulated lab guest, whose runner says so, else "native".
[[nodiscard]] inline std::string where() {
  const char* lab = std::getenv("SALLYPORT_LAB");
  return lab != nullptr && std::string_view(lab) == "tcg" ? "tcg" : "native";
}

[[nodiscard]] inline std::string cpu_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

[[nodiscard]] inline std::string kernel_release() {
  utsname name{};
  return uname(&name) == 0 ? name.release : "unknown";
}

[[nodiscard]] inline double load1() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

/// The figure as its line says it. Members without a value (no baseline, no goal) are null.
[[nodiscard]] inline nlohmann::ordered_json to_json(const Figure& figure) {
  nlohmann::ordered_json line;
  line["v"] = 1;
  line["name"] = figure.name;
  line["unit"] = figure.unit;
  const double value = figure.samples.median();
  line["figure"] = value;
  line["baseline"] = nullptr;
  line["ratio"] = nullptr;
  double judged = value;
  if (figure.baseline) {
    const double base = figure.baseline->samples.median();
    line["baseline"] = {{"name", figure.baseline->name}, {"figure", base}};
    judged = value / base;  // a baseline of nothing makes it infinite, which JSON says as null
    line["ratio"] = judged;
  }
  line["goal"] = nullptr;
  line["met"] = nullptr;
  if (figure.goal) {
    line["goal"] = figure.goal->text();
    line["met"] = figure.samples.count() > 0 && figure.goal->met(judged);
  }
  line["samples"] = figure.samples.count();
  line["spread"] = figure.samples.spread();
  line["where"] = where();
  line["kernel"] = kernel_release();
  line["cpu"] = cpu_model();
  line["load1"] = load1();
  return line;
}

inline void print(const Figure& figure) { std::cout << to_json(figure).dump() << std::endl; }

/// The command line of a bench.
class Filter {
 public:
  /// Ends the program with exit code 2 on anything but `[--filter REGEX]`.
  Filter(int argc, char** argv) {
    if (argc == 1) return;
    if (argc != 3 || std::strcmp(argv[1], "--filter") != 0) {
      std::cerr << "usage: " << argv[0] << " [--filter REGEX]\n";
      std::exit(2);
    }
    pattern_ = std::regex(argv[2]);
  }

  /// Whether the figure of this name is asked for: measure only then.
  [[nodiscard]] bool wants(const std::string& name) const {
    return !pattern_ || std::regex_search(name, *pattern_);
  }

 private:
  std::optional<std::regex> pattern_;
};

}  // namespace sallyport::bench
