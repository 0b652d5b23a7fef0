// SPDX-License-Identifier: BSD-3-Clause
/// A packet judged by walking over the rules, one after the other. Slow on purpose: tests hold the
/// tables and the kernel against it.
#pragma once

#include "agent/model/rule.h"
#include "agent/policy/compile.h"
#include "agent/policy/explain.h"

namespace sallyport {

/// The same answer that judge_new_flow() must give from the tables of `input`.
NewFlow judge_naively(const PolicyInput& input, const PacketKey& packet);

}  // namespace sallyport
