// The rules that a task must keep when its turn has come.
#pragma once

#include <string>

namespace rollout {

struct run_context;

/// Says why the task is refused, in a sentence; empty if no rule forbids it. The run has its plan, and has changed nothing.
std::string refusal_of(const run_context &run);

} // namespace rollout
