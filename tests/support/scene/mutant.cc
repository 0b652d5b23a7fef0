// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/mutant.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "agent/base/fd.h"

namespace sallyport::scene {
namespace {

/// `return TCX_NEXT`: as if there were no program.
Fd program_that_lets_pass() {
  const std::array<bpf_insn, 2> body{{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = BPF_REG_0,
       .src_reg = 0,
       .off = 0,
       .imm = -1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  return Fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "mutant", "Dual BSD/GPL", body.data(),
                          body.size(), nullptr));
}

}  // namespace

bool mutants_wanted() {
  const char* wanted = std::getenv("SALLYPORT_TEST_DETACH");
  return wanted != nullptr && std::string_view(wanted) == "1";
}

int detach_programs(const std::string& state_dir) {
  std::string id;
  std::ifstream(state_dir + "/id") >> id;
  const Fd nothing = program_that_lets_pass();
  int links = 0;
  std::error_code error;
  for (const auto& pin :
       std::filesystem::directory_iterator("/sys/fs/bpf/sallyport/" + id, error)) {
    const Fd object(bpf_obj_get(pin.path().c_str()));
    // What is no link refuses.
    if (bpf_link_update(object.raw(), nothing.raw(), nullptr) == 0) ++links;
  }
  return links;
}

}  // namespace sallyport::scene
