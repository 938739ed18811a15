// The rules that a task must meet when its turn comes.
#pragma once

#include <string>

namespace rollout {

struct run_context;

/// Returns why the task is refused, as a sentence; empty if no rule forbids it. The run has made its plan and has not
/// changed anything yet.
std::string refusal_of(const run_context &run);

} // namespace rollout
