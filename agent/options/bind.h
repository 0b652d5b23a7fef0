// SPDX-License-Identifier: BSD-3-Clause
/// Where in Config each key of the table goes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/config.h"
#include "agent/options/document.h"
#include "agent/options/scalar.h"

namespace sallyport::options {

/// Where values were written, for complaints that need more than one of them. In the order of
/// Config's lists; the file is that of the entry.
struct PeerMarks {
  Mark name, public_key, endpoint;
  std::vector<Mark> allowed_ips;
};
struct LanMarks {
  Mark name, prefix, device;
};
struct RuleMarks {
  Mark id, not_before, not_after;
  bool named = false;  // its id was written
  std::vector<Mark> protos, ports, when;
};

/// A configuration while it is being read.
struct Draft {
  Config config;
  std::vector<PeerMarks> peers;
  std::vector<LanMarks> lans;
  std::vector<RuleMarks> rules;
  std::vector<RuleMarks> ceiling;
  std::vector<Mark> addresses;  // node.addresses
  std::vector<Mark> exit_devices;
  std::vector<Mark> advertised;  // join.advertise_routes
  std::map<Prefix, Mark> snat;   // join.snat
  Mark flows_per_peer;
  Mark table;
  std::map<std::string, Position> groups;

  std::string main_file;  // config.yaml

  /// What a value goes to.
  std::string file;
  bool in_ceiling = false;
  std::string group;

  RuleConfig& rule() { return in_ceiling ? config.ceiling->back() : config.rules.back(); }
  RuleMarks& rule_marks() { return in_ceiling ? ceiling.back() : rules.back(); }
  [[nodiscard]] Position at(Mark mark) const { return {file, mark.line, mark.column}; }
};

/// A map or a list of maps begins: "exit", "ceiling[]".
void open_section(Draft& draft, std::string_view path, Mark mark);
/// An element of a list of maps begins: "peers[]".
void add_element(Draft& draft, std::string_view path, Mark mark);
/// Puts one value, or one item of a list, where it belongs. `path` is a row of the table.
void store(Draft& draft, const Option& option, Value value, Mark mark);

}  // namespace sallyport::options
