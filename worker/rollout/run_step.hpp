// A step of a task, as the tables of deployment.cpp and deletion.cpp have them.
#pragma once

#include "worker/async/outcome.hpp"

#include <span>
#include <string_view>

namespace rollout {

struct run_context;

/// What a task's `step` is while it takes the way back.
inline constexpr std::string_view rollback_step_name = "rollback";

struct run_step {
    const char *name;

    /// Makes true of the model what is true from now on; written to the journal together with the step's beginning. May run
    /// again after a crash, so it must find its work done and let it be. Null: nothing.
    void (*enter)(run_context &run) = nullptr;

    /// Does the work. `transient` failures are tried again.
    operation_ptr (*work)(run_context &run, done_fn done);

    /// Makes true what is true once the work went well; written together with the step's end. Null: nothing.
    void (*leave)(run_context &run) = nullptr;

    /// Says whether the step has anything to do for this task. Null: always.
    bool (*applies)(const run_context &run) = nullptr;

    /// Says whether the task takes the way back if the step fails or a client cancels it; else what is done stays. Null:
    /// always.
    bool (*can_be_undone)(const run_context &run) = nullptr;

    /// It waits, for time, traffic, a person or gateways: if that lasts, the run gives its permit back.
    bool waits = false;
};

/// Of a step that cannot be undone.
inline bool never(const run_context &)
{
    return false;
}

/// The steps of a kind of task, in their order, and its way back.
struct run_steps {
    std::span<const run_step> forward;
    const run_step &rollback;
};

} // namespace rollout
