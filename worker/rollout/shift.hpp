// shift: the traffic moves to green, weight by weight, each held for its time and looked at by the gate. And the watch over
// a revision that has been promoted, while the old one can have its traffic back at once.
#pragma once

#include "worker/rollout/task_run.hpp"

namespace rollout {

void enter_shift(task_run &run);
operation_ptr shift_traffic(task_run &run, done_fn done);

/// Until every gateway has green as its blue, and then for `watch_s` where the model's `former` is set.
operation_ptr promote_and_watch(task_run &run, done_fn done);

} // namespace rollout
