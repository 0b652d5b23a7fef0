// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/read.h"

#include <string.h>

#include <algorithm>
#include <map>
#include <utility>

#include "agent/base/text.h"
#include "agent/model/nearest.h"
#include "agent/options/bind.h"
#include "agent/options/check.h"
#include "agent/options/complaints.h"
#include "agent/options/document.h"
#include "agent/options/scalar.h"
#include "agent/options/table.h"

namespace sallyport::options {
namespace {

std::string kind_of(const Node& node) {
  switch (node.type) {
    case Node::Type::kNull:
      return "nothing";
    case Node::Type::kScalar:
      return "text";
    case Node::Type::kList:
      return "a list";
    case Node::Type::kMap:
      return "a map";
  }
  return {};
}

std::string directory_of(const std::string& file) {
  const auto slash = file.rfind('/');
  return slash == std::string::npos ? std::string(".") : file.substr(0, std::max<size_t>(slash, 1));
}

std::string without_ends(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
}

/// Keys of any name, each with a value of its own.
bool is_open_map(const Option& option) {
  return option.kind == Kind::kNamedLists || option.kind == Kind::kSwitches;
}

/// Reads one file's tree into the draft, guided by the table.
class Reader {
 public:
  Reader(Draft& draft, Complaints& complaints, std::vector<InputError>& warnings,
         const Outside& outside, std::string prefs_file)
      : draft_(draft),
        complaints_(complaints),
        warnings_(warnings),
        outside_(outside),
        prefs_file_(std::move(prefs_file)) {}

  void read_main(const Node& root) {
    if (root.type != Node::Type::kMap)
      return wrong_type(root.mark, "the file", "a map of keys", root);
    read_map(root, "");
  }

  /// `peers: [...]`, or one peer.
  void read_peers(const Node& root) {
    if (root.type != Node::Type::kMap) {
      return wrong_type(root.mark, "the file", "one peer, or peers: [...]", root);
    }
    const bool many = std::ranges::any_of(
        root.entries, [](const Node::Entry& entry) { return entry.key == "peers"; });
    const Option& peers = *find_option("peers[]");
    if (!many) return read_element(peers, root, "peers[]");
    for (const auto& entry : root.entries) {
      if (entry.key == "peers" || entry.key == "version") {
        read_value(*find_option(entry.key), entry, entry.key == "peers" ? "peers[]" : "version");
      } else {
        add(entry.mark, "key " + quote(entry.key) + " is not read here",
            "a file in peers.d holds one peer, or peers: [...]");
      }
    }
  }

 private:
  void add(Mark mark, std::string message, std::string hint = {}) {
    complaints_.add(draft_.at(mark), std::move(message), std::move(hint));
  }
  void wrong_type(Mark mark, const std::string& what, const std::string& expected,
                  const Node& found) {
    const std::string value =
        found.type == Node::Type::kScalar ? quote(found.text) : kind_of(found);
    add(mark, what + " is " + value + ", expected " + expected);
  }

  void read_map(const Node& node, const std::string& path) {
    const auto known = children(path);
    std::vector<std::pair<const Option*, Mark>> seen;
    for (const auto& entry : node.entries) {
      const auto option = std::ranges::find(known, entry.key, &Option::name);
      if (option == known.end()) {
        unknown_key(entry, path, known);
        continue;
      }
      const auto before = std::ranges::find(seen, *option, &std::pair<const Option*, Mark>::first);
      if (before != seen.end()) {
        add(entry.mark, "key " + quote(entry.key) + " is given twice",
            "first in line " + std::to_string(before->second.line));
        continue;
      }
      seen.emplace_back(*option, entry.mark);
      if ((*option)->since == Since::kLater) {
        add(entry.mark, "key " + quote(entry.key) + " is not in this version");
        continue;
      }
      const std::string file = draft_.file;
      if (entry.from_prefs) draft_.file = prefs_file_;
      read_value(**option, entry, child_path(path, **option));
      draft_.file = file;
    }
    for (const Option* option : known) {
      const bool given =
          std::ranges::find(seen, option, &std::pair<const Option*, Mark>::first) != seen.end();
      if (option->need != Need::kRequired || given) continue;
      add(node.mark, "key \"" + std::string(option->name()) + "\" is missing",
          "such as " + std::string(option->name()) + ": " + example_text(*option));
    }
  }

  /// The path as written: under ceiling[] the rows are those of rules[].
  static std::string child_path(const std::string& path, const Option& option) {
    std::string out = path.empty() ? "" : path + ".";
    out += option.name();
    return option.is_list() ? out + "[]" : out;
  }

  void unknown_key(const Node::Entry& entry, const std::string& path,
                   const std::vector<const Option*>& known) {
    std::vector<std::string> names;
    names.reserve(known.size());
    for (const Option* option : known) names.emplace_back(option->name());
    std::string hint;
    if (const auto near = nearest(entry.key, names)) {
      hint = "did you mean \"" + *near + "\"?";
    } else if (entry.key == "<<") {
      hint = "merging is not understood; repeat the alias where it is needed";
    } else {
      hint = elsewhere(entry.key);
      if (hint.empty()) {
        for (const Option* option : known) {
          if (option->since == Since::kLater) continue;
          hint += (hint.empty() ? "known here: " : ", ") + std::string(option->name());
        }
      }
    }
    add(entry.mark, "unknown key " + quote(entry.key) + (path.empty() ? "" : " in " + path),
        std::move(hint));
  }

  /// The map in which a key of this very name is known.
  static std::string elsewhere(std::string_view key) {
    for (const Option& option : kOptions) {
      if (option.name() != key || option.since == Since::kLater) continue;
      const auto parent = option.parent();
      return "\"" + std::string(key) + "\" belongs " +
             (parent.empty() ? std::string("to the top") : "in " + std::string(parent));
    }
    return {};
  }

  void read_value(const Option& option, const Node::Entry& entry, const std::string& path) {
    const Node& node = entry.value;
    // The mark of nothing is wherever the next thing stands.
    const Mark mark = node.type == Node::Type::kNull ? entry.mark : node.mark;
    const bool structure = option.is_list() || option.kind == Kind::kMap || is_open_map(option);
    if (structure && node.type == Node::Type::kNull && option.need == Need::kOptional) return;
    if (option.is_list()) return read_list(option, entry.key, node, mark, path);
    if (option.kind == Kind::kMap) {
      if (node.type != Node::Type::kMap) {
        return wrong_type(mark, entry.key, stated(option, "a map of keys", "{}"), node);
      }
      open_section(draft_, option.path, mark);
      return read_map(node, path);
    }
    if (option.kind == Kind::kNamedLists) return read_named_lists(option, entry.key, node, mark);
    if (option.kind == Kind::kSwitches) return read_switches(option, entry.key, node, mark);
    read_scalar(option, entry.key, node, mark);
  }

  static std::string stated(const Option& option, std::string expected, std::string_view none) {
    if (option.need != Need::kStated) return expected;
    return expected + (none == "[]" ? "; [] is nothing" : "; {} takes the defaults");
  }

  void read_list(const Option& option, const std::string& key, const Node& node, Mark mark,
                 const std::string& path) {
    if (node.type != Node::Type::kList) {
      const std::string shape = option.kind == Kind::kMap
                                    ? std::string("a list of maps")
                                    : "a list such as " + example_text(option);
      return wrong_type(mark, key, stated(option, shape, "[]"), node);
    }
    if (option.kind == Kind::kMap) open_section(draft_, path, mark);
    if (node.items.empty() && option.need == Need::kRequired) {
      return add(mark, key + " is empty, expected a list such as " + example_text(option));
    }
    for (const Node& item : node.items) {
      if (option.kind == Kind::kMap) {
        read_element(option, item, path);
      } else {
        read_scalar(option, key, item, item.mark);
      }
    }
  }

  void read_element(const Option& option, const Node& item, const std::string& path) {
    if (item.type != Node::Type::kMap) {
      return wrong_type(item.mark, "an item of " + std::string(option.name()), "a map of keys",
                        item);
    }
    add_element(draft_, path, item.mark);
    read_map(item, path);
  }

  void read_named_lists(const Option& option, const std::string& key, const Node& node, Mark mark) {
    if (node.type != Node::Type::kMap) return wrong_type(mark, key, expected_text(option), node);
    const Option& item = *children(option.path).front();
    for (const auto& entry : node.entries) {
      if (!is_label(entry.key)) {
        add(entry.mark, "name " + quote(entry.key) + " is not good, expected " +
                            expected_text({.path = {}, .kind = Kind::kLabel}));
        continue;
      }
      const auto [known, fresh] = draft_.groups.emplace(entry.key, draft_.at(entry.mark));
      if (!fresh) {
        add(entry.mark, "group " + quote(entry.key) + " is given twice",
            "first in line " + std::to_string(known->second.line));
        continue;
      }
      draft_.group = entry.key;
      draft_.config.groups[entry.key];  // may stay empty
      if (entry.value.type == Node::Type::kNull) continue;
      read_list(item, entry.key, entry.value, entry.value.mark, std::string(item.path));
    }
  }

  void read_switches(const Option& option, const std::string& key, const Node& node, Mark mark) {
    if (node.type != Node::Type::kMap) return wrong_type(mark, key, expected_text(option), node);
    for (const auto& entry : node.entries) {
      auto value = parse_scalar(option, entry.key + ": " + entry.value.text);
      if (!value || entry.value.type != Node::Type::kScalar) {
        add(entry.mark, "an entry of " + key + " is " + quote(entry.key + ": " + entry.value.text) +
                            ", expected PREFIX: on or off, such as " + example_text(option));
        continue;
      }
      store(draft_, option, std::move(*value), entry.mark);
    }
  }

  void read_scalar(const Option& option, const std::string& key, const Node& node, Mark mark) {
    if (node.type != Node::Type::kScalar) {
      return wrong_type(mark, key, expected_text(option), node);
    }
    auto value = parse_scalar(option, node.text);
    if (!value) {
      // A secret that is nearly right is still nearly a secret.
      const bool secret = option.kind == Kind::kSecret || option.kind == Kind::kToken;
      const std::string shown = secret ? "not understood" : quote(node.text);
      return add(mark, key + " is " + shown + ", expected " + expected_text(option),
                 std::move(value).error().hint);
    }
    if (auto* secret = std::get_if<SecretValue>(&*value)) {
      if (!read_secret(option, key, *secret, mark)) return;
    }
    if (auto* token = std::get_if<TokenValue>(&*value)) {
      if (!read_token(key, *token, mark)) return;
    }
    if (const auto* window = std::get_if<TimeWindow>(&*value)) {
      if (!check_zone(*window, key, mark)) return;
    }
    store(draft_, option, std::move(*value), mark);
  }

  void warn_of_literal(const std::string& key, Mark mark) {
    warnings_.push_back({draft_.at(mark), key + " is written out in the file",
                         "put it into a file of its own, mode 600, and write file:PATH"});
  }

  /// What the file holds; nothing: there is none. Errors are complained about.
  Result<std::optional<std::string>, bool> text_of_file(const std::string& key, std::string& file,
                                                        Mark mark) {
    if (!file.starts_with('/')) file = directory_of(draft_.file) + "/" + file;
    auto text = outside_.read_secret(file);
    if (text) return std::move(*text);
    const std::string& why = text.error();
    const auto newline = std::min(why.find('\n'), why.size());
    add(mark, key + ": " + why.substr(0, newline),
        newline < why.size() ? why.substr(newline + 1) : "");
    return Fail{false};
  }

  bool read_secret(const Option& option, const std::string& key, SecretValue& secret, Mark mark) {
    if (secret.key) {
      warn_of_literal(key, mark);
      return true;
    }
    auto text = text_of_file(key, secret.file, mark);
    if (!text) return false;
    if (!*text) {
      // The agent makes its own key, and nobody else's.
      if (option.path == "node.private_key") return true;
      add(mark, key + ": there is no file " + quote(secret.file));
      return false;
    }
    secret.key = PresharedKey::parse(without_ends(**text));
    explicit_bzero((*text)->data(), (*text)->size());
    if (!secret.key) {
      add(mark, key + ": the file " + quote(secret.file) +
                    " holds no WireGuard key, expected 44 characters of base64");
    }
    return secret.key.has_value();
  }

  bool read_token(const std::string& key, TokenValue& token, Mark mark) {
    if (token.file.empty()) {
      warn_of_literal(key, mark);
      return true;
    }
    auto text = text_of_file(key, token.file, mark);
    if (!text) return false;
    if (!*text) {
      add(mark, key + ": there is no file " + quote(token.file));
      return false;
    }
    token.text = without_ends(**text);
    explicit_bzero((*text)->data(), (*text)->size());
    if (is_token(token.text)) return true;
    add(mark, key + ": the file " + quote(token.file) +
                  " holds no key, expected one line, printable and without blanks");
    return false;
  }

  bool check_zone(const TimeWindow& window, const std::string& key, Mark mark) {
    if (zones_.empty()) zones_ = outside_.zone_names();
    if (std::ranges::binary_search(zones_, window.zone) || window.zone == "UTC") return true;
    const auto near = nearest(window.zone, zones_);
    std::string hint = near ? "did you mean \"" + *near + "\"?" : "";
    if (zones_.empty()) hint = "this machine has no time zones: install tzdata";
    add(mark,
        key + " is " + quote(window.text) + ", but there is no time zone " + quote(window.zone),
        std::move(hint));
    return false;
  }

  Draft& draft_;
  Complaints& complaints_;
  std::vector<InputError>& warnings_;
  const Outside& outside_;
  std::string prefs_file_;
  std::vector<std::string> zones_;
};

std::string path_of(std::string_view section, const std::string& key) {
  return std::string(section).append(".").append(key);
}

/// Gives the main file what it does not say itself. The answer: what it does say, in the sections
/// that prefs have too.
std::map<std::string, Position> merge_prefs(Node& main, Node prefs, const std::string& main_file) {
  const auto section_of = [&](std::string_view name) {
    return std::ranges::find(main.entries, name, &Node::Entry::key);
  };
  std::map<std::string, Position> stated;
  for (const char* name : {"join", "node"}) {
    const auto section = section_of(name);
    if (section == main.entries.end()) continue;
    for (const Node::Entry& entry : section->value.entries) {
      stated.emplace(path_of(name, entry.key),
                     Position{main_file, entry.mark.line, entry.mark.column});
    }
  }
  for (Node::Entry& said : prefs.entries) {
    if (said.value.type != Node::Type::kMap) continue;  // "version"
    const auto section = section_of(said.key);
    if (section == main.entries.end()) {
      said.from_prefs = true;
      main.entries.push_back(std::move(said));
      continue;
    }
    if (section->value.type != Node::Type::kMap) continue;  // the reader complains
    for (Node::Entry& entry : said.value.entries) {
      if (stated.contains(path_of(said.key, entry.key))) continue;
      entry.from_prefs = true;
      section->value.entries.push_back(std::move(entry));
    }
  }
  return stated;
}

}  // namespace

Result<Reading, std::vector<InputError>> parse_config(std::span<const SourceFile> files,
                                                      const Outside& outside,
                                                      const SourceFile* prefs) {
  std::vector<std::string> names;
  for (const SourceFile& file : files) names.push_back(file.name);
  Complaints complaints(names);
  Draft draft;
  std::vector<InputError> warnings;
  Reader reader(draft, complaints, warnings, outside, prefs == nullptr ? "" : prefs->name);
  std::map<std::string, Position> stated;
  for (size_t i = 0; i < files.size(); ++i) {
    draft.file = files[i].name;
    if (i == 0) draft.main_file = files[i].name;
    auto root = parse_document(files[i].text, files[i].name);
    if (!root) {
      auto error = std::move(root).error();
      complaints.add(std::move(error.where), std::move(error.message), std::move(error.hint));
    } else if (i == 0) {
      if (prefs != nullptr) {
        auto said = parse_document(prefs->text, prefs->name);
        if (!said) return Fail{std::vector<InputError>{std::move(said).error()}};
        stated = merge_prefs(*root, std::move(*said), files[i].name);
      }
      reader.read_main(*root);
    } else {
      reader.read_peers(*root);
    }
  }
  check(draft, complaints, complaints.empty());
  if (!complaints.empty()) return Fail{complaints.take()};
  if (draft.config.join && draft.config.join->advertise_exit_node) {
    for (const char* all : {"0.0.0.0/0", "::/0"}) {
      draft.config.join->prefs.advertise_routes.push_back(*Prefix::parse(all));
    }
  }
  if (draft.config.join && !draft.config.join->snat_by_default) {
    JoinPrefs& wishes = draft.config.join->prefs;
    for (const Prefix& route : wishes.advertise_routes) wishes.snat.try_emplace(route, false);
  }
  draft.config.groups = flatten(draft.config.groups);
  return Reading{std::move(draft.config), std::move(stated), std::move(warnings)};
}

}  // namespace sallyport::options
