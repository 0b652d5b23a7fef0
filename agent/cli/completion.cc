// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace sallyport::cli {
namespace {

std::string options_of(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) out += " --" + name;
    for (const std::string& name : option->get_snames()) out += " -" + name;
  }
  return out;
}

std::string verbs_of(const CLI::App& app) {
  std::string out;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    out += " " + verb->get_name();
  }
  return out;
}

// What may stand behind a verb: verbs and options of its own, and those of the verbs below it.
std::string words_after(const CLI::App& verb) {
  std::string out = verbs_of(verb) + options_of(verb);
  for (const CLI::App* below : verb.get_subcommands([](const CLI::App*) { return true; })) {
    out += options_of(*below);
  }
  if (verb.get_name() == "completion") out += " bash zsh fish";
  if (verb.get_name() == "help") out += " config";
  return out;
}

// One case a verb: the words that may follow it.
std::string bash(const CLI::App& app) {
  std::string out =
      "_sallyport() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} verb= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      --run) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) verb=${COMP_WORDS[i]}; break ;;\n"
      "    esac\n"
      "  done\n"
      "  case $verb in\n";
  out += fmt::format("    '') COMPREPLY=($(compgen -W '{}{}' -- \"$word\")) ;;\n", verbs_of(app),
                     options_of(app));
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    out += fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$word\")) ;;\n", verb->get_name(),
                       words_after(*verb));
  }
  return out + "  esac\n}\ncomplete -F _sallyport sallyport\n";
}

std::string zsh(const CLI::App& app) {
  return "#compdef sallyport\nautoload -U +X bashcompinit && bashcompinit\n" + bash(app);
}

std::string fish(const CLI::App& app) {
  std::string out = "complete -c sallyport -f\n";
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::string help = verb->get_description();
    for (size_t at = 0; (at = help.find('\'', at)) != std::string::npos; at += 2) {
      help.insert(at, "\\");
    }
    out += fmt::format("complete -c sallyport -n __fish_use_subcommand -a {} -d '{}'\n",
                       verb->get_name(), help);
    out += fmt::format("complete -c sallyport -n '__fish_seen_subcommand_from {}' -a '{}'\n",
                       verb->get_name(), words_after(*verb));
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  if (shell == "fish") return fish(app);
  return shell == "zsh" ? zsh(app) : bash(app);
}

}  // namespace sallyport::cli
