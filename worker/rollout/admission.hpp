// The rules that a task must keep when its turn has come.
#pragma once

#include <string>

namespace rollout {

class task_run;

/// Why the task is refused, as a sentence; empty where no rule forbids it. The run has its plan, and has changed nothing.
std::string refusal_of(const task_run &run);

} // namespace rollout
