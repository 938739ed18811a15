// A step of a task, as listed in the tables of deployment.cpp and deletion.cpp.
#pragma once

#include "worker/async/outcome.hpp"

#include <span>
#include <string_view>

namespace rollout {

struct run_context;

/// A task's `step` during its rollback.
inline constexpr std::string_view rollback_step_name = "rollback";

struct run_step {
    const char *name;

    /// Changes the model to what is true from now on; written to the journal together with the step's beginning. May
    /// run again after a crash, so it must leave its own work as it is. Null: nothing.
    void (*enter)(run_context &run) = nullptr;

    /// Does the work. `transient` failures are retried.
    operation_ptr (*work)(run_context &run, done_fn done);

    /// Changes the model to what is true once the work has succeeded; written together with the step's end. Null:
    /// nothing.
    void (*leave)(run_context &run) = nullptr;

    /// Returns whether the step has anything to do for this task. Null: always.
    bool (*applies)(const run_context &run) = nullptr;

    /// Returns whether the task rolls back if the step fails or a client cancels it; otherwise, what is done stays.
    /// Null: always.
    bool (*can_be_undone)(const run_context &run) = nullptr;

    /// The step waits, for time, traffic, a person or gateways: if that lasts, the run releases its permit.
    bool waits = false;

    /// Returns whether the work only asks, and changes nothing anywhere: it runs while the journal is told of the step. For
    /// a step without `enter`. Null: never.
    bool (*only_asks)(const run_context &run) = nullptr;

    /// Returns whether it turns out that there is nothing to do: the step is done with the next write. Null: never.
    bool (*is_idle)(const run_context &run) = nullptr;

    /// Returns whether nothing is left to fetch, stage, load or unload from this step on, as far as is known: the run
    /// releases its permit before the step. Null: never.
    bool (*needs_no_permit)(const run_context &run) = nullptr;
};

/// For a step that cannot be undone.
inline bool never(const run_context &)
{
    return false;
}

/// The steps of a kind of task, in order, and its rollback.
struct run_steps {
    std::span<const run_step> forward;
    const run_step &rollback;
};

} // namespace rollout
