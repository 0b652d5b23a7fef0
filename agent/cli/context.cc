// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/context.h"

#include <cstdio>

#include "agent/cli/terminal.h"

namespace sallyport::cli {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void complain(Context& context, const Complaint& complaint) {
  if (context.json) print(complaint.json().dump() + "\n");
  std::fputs(("sallyport: " + complaint.text() + "\n").c_str(), stderr);
  context.exit = complaint.code;
}

std::optional<Json> show(Context& context, const std::string& verb, const Json& args,
                         Renderer render) {
  auto answer = ask_once(context.run_dir, verb, args);
  if (!answer) {
    complain(context, answer.error());
    return {};
  }
  print(context.json ? answer->dump() + "\n" : render(*answer, colour_wanted()));
  return *answer;
}

}  // namespace sallyport::cli
