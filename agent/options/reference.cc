// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/reference.h"

#include <algorithm>
#include <vector>

#include "agent/base/text.h"
#include "agent/model/nearest.h"
#include "agent/options/table.h"

namespace sallyport::options {
namespace {

constexpr std::string_view kIntroduction =
    R"(# config.yaml

<!-- Written from agent/options/table.h: change that, then run the test `reference.page` with
SALLYPORT_REGENERATE=1. -->

The gateway reads `/etc/sallyport/config.yaml` and, with it, `peers.d/*.yaml` beside it, at start, on
`sallyport reload` and on SIGHUP. A file with a mistake changes nothing: every mistake is named with
its line, and what ran goes on. `example.yaml` is a whole configuration with comments; `examples/` has
smaller ones.

- A file in `peers.d/` holds one peer, or `peers: [...]`, and nothing else.
- A secret is `file:PATH`, readable by its owner only (`chmod 600`); a path that does not begin with
  `/` is beside the file that names it. The secret itself may stand there too, with a warning.
- A duration is `90s`, `2h4m` or `7d`; a bare number is seconds. `on`, `yes` and `true` are the same,
  and so are `off`, `no` and `false`.
- Names of peers, groups and LANs are letters, digits and inner hyphens, at most 63. Peers and LANs
  share their names, and upper and lower case do not tell two apart. `lan`, `exit` and `self` are
  taken.
- Aliases (`*name`) are followed. Tags and `<<` are not understood.

What may be written in `from` and `to`:

| written | means |
|---|---|
| `alice-laptop` | the addresses of that peer |
| `group:staff` | those of everybody in the group |
| `office` | the addresses of that LAN |
| `lan` | all LANs |
| `exit` | the internet: all that is neither private nor ours |
| `self` | this gateway |
| `10.20.3.7`, `10.20.3.0/24`, `10.20.3.7-10.20.3.9` | an address, a prefix, a range |
| `*` | everything |
)";

std::string code(std::string_view text) {
  if (text.empty()) return {};
  return "`" + std::string(text) + "`";
}

/// A default that is a value is code, one in words is not.
std::string default_text(const Option& option) {
  const auto& words = option.fallback;
  return words.find(' ') == std::string_view::npos ? code(words) : std::string(words);
}

std::string escaped(std::string_view cell) {
  std::string out;
  for (const char c : cell) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

/// The key as it is written below `section`: "timeouts.tcp".
std::string relative(const Option& option, std::string_view section) {
  std::string out(option.path.substr(section.size() + 1));
  if (option.is_list()) out.resize(out.size() - 2);
  return out;
}

bool is_below(const Option& option, std::string_view section) {
  return option.path.size() > section.size() && option.path.starts_with(section) &&
         option.path[section.size()] == '.';
}

std::string row(const Option& option, std::string_view section) {
  std::string meaning(option.help);
  if (option.need == Need::kRequired) meaning = "**Required.** " + meaning;
  if (!option.later.empty()) meaning += " (" + code(option.later) + " is not in this version.)";
  return "| " + code(relative(option, section)) + " | " + escaped(type_text(option)) + " | " +
         escaped(default_text(option)) + " | " + escaped(code(example_text(option))) + " | " +
         escaped(meaning) + " |\n";
}

std::string section_text(const Option& section) {
  std::string out =
      "\n## " + std::string(section.name()) + "\n\n" + std::string(section.help) + "\n";
  if (section.kind != Kind::kMap && section.kind != Kind::kNamedLists) {
    out += "\n" + code(std::string(section.name()) + ": " + example_text(section)) + ": " +
           type_text(section) + (section.need == Need::kRequired ? ", required.\n" : ".\n");
    return out;
  }
  std::string rows;
  for (const Option& option : kOptions) {
    if (!is_below(option, section.path) || option.since == Since::kLater) continue;
    rows += option.kind == Kind::kMap ? "| " + code(relative(option, section.path)) +
                                            " | map | | | " + std::string(option.help) + " |\n"
                                      : row(option, section.path);
  }
  if (rows.empty()) return out;
  return out + "\n| key | holds | default | example | meaning |\n|---|---|---|---|---|\n" + rows;
}

std::string later_text() {
  std::string out =
      "\n## Not in this version\n\nThese keys are refused for now, so that nobody believes in what "
      "is "
      "not there.\n\n| key | meaning |\n|---|---|\n";
  for (const Option& option : kOptions) {
    if (option.since != Since::kLater) continue;
    out += "| " + code(option.path) + " | " + escaped(option.help) + " |\n";
  }
  return out;
}

/// "peers[].name" and "peers.name" are one; ceiling has the keys of rules.
std::string plain(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c != '[' && c != ']') out += c;
  }
  constexpr std::string_view kCeiling = "ceiling.";
  return out.starts_with(kCeiling) ? "rules." + out.substr(kCeiling.size()) : out;
}

const Option* find_plain(std::string_view path) {
  const auto wanted = plain(path);
  const auto found = std::ranges::find_if(
      kOptions, [&](const Option& option) { return plain(option.path) == wanted; });
  return found == std::end(kOptions) ? nullptr : &*found;
}

std::string list_of(const std::vector<const Option*>& options) {
  size_t width = 0;
  for (const Option* option : options) width = std::max(width, option->name().size());
  std::string out;
  for (const Option* option : options) {
    out += "  " + std::string(option->name()) +
           std::string(width + 2 - option->name().size(), ' ') + std::string(option->help) +
           (option->since == Since::kLater ? " Not in this version.\n" : "\n");
  }
  return out;
}

}  // namespace

std::string reference_page() {
  std::string out(kIntroduction);
  for (const Option* section : children("")) {
    if (section->since != Since::kLater) out += section_text(*section);
  }
  return out + later_text();
}

Result<std::string, std::string> help_for(std::string_view path) {
  if (path.empty()) return "Keys of config.yaml:\n" + list_of(children(""));
  const Option* option = find_plain(path);
  if (option == nullptr) {
    std::vector<std::string> known;
    for (const Option& each : kOptions) known.push_back(plain(each.path));
    const auto near = nearest(plain(path), known);
    return Fail{"there is no key " + quote(path) +
                (near ? ", did you mean \"" + *near + "\"?" : "")};
  }
  std::string out = std::string(option->path) + ": " + type_text(*option);
  if (option->need == Need::kRequired) out += ", required";
  if (!option->fallback.empty()) out += ", default " + std::string(option->fallback);
  out += "\n" + std::string(option->help) + "\n";
  if (option->since == Since::kLater) out += "Not in this version.\n";
  if (!option->later.empty()) out += "Not in this version: " + std::string(option->later) + "\n";
  if (!option->example.empty())
    out += "Example:  " + std::string(option->name()) + ": " + example_text(*option) + "\n";
  const auto below = children(option->path);
  if (!below.empty()) out += "Keys:\n" + list_of(below);
  return out;
}

}  // namespace sallyport::options
