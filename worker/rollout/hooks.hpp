// The hooks of a rollout: asked before a step, or notified after it.
#pragma once

#include "worker/rollout/run_context.hpp"

namespace rollout {

/// Runs the hooks of that name (`before_stage`) one after the other; succeeds at once if there are none. The first
/// failure of a `before_` hook ends them and is the outcome. The failure of an `after_` hook is logged and added to
/// the detail, but changes nothing else.
operation_ptr run_hooks(run_context &run, const served_revision &revision, const char *name, done_fn done);

} // namespace rollout
