// The step `shift`: traffic moves to green weight by weight; each weight is held for its time and judged by the gate.
// Also the watch over a promoted revision, during which the old one can get its traffic back at once.
#pragma once

#include "worker/rollout/run_context.hpp"

namespace rollout {

void enter_shift(run_context &run);
operation_ptr shift_traffic(run_context &run, done_fn done);

/// Waits until every gateway has green as its blue, and then for `watch_s` if the model's `former` is set.
operation_ptr promote_and_watch(run_context &run, done_fn done);

} // namespace rollout
