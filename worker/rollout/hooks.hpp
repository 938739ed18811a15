// The hooks of a rollout: who is asked before a step, and told after one.
#pragma once

#include "worker/rollout/run_context.hpp"

namespace rollout {

/// Runs the hooks of that name (`before_stage`) one after the other; ok at once if there are none. The first failure of a
/// `before_` hook ends them and is the outcome. A failure of an `after_` hook is logged and part of the detail, and changes
/// nothing.
operation_ptr run_hooks(run_context &run, const served_revision &revision, const char *name, done_fn done);

} // namespace rollout
