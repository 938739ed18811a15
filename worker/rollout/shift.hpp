// shift: the traffic moves to green, weight by weight, each held for its time.
#pragma once

#include "worker/rollout/task_run.hpp"

namespace rollout {

void enter_shift(task_run &run);
operation_ptr shift_traffic(task_run &run, done_fn done);

} // namespace rollout
