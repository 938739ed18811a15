// What the steps of a task work with, and what they change between two writes to the journal. The order of the steps,
// their attempts and the rollback belong to the run (task_run.hpp), which a step does not see.
#pragma once

#include "worker/domain/model.hpp"
#include "worker/domain/task.hpp"
#include "worker/rollout/plan.hpp"
#include "worker/rollout/route_publisher.hpp"
#include "worker/rollout/run_environment.hpp"
#include "worker/rollout/run_permit.hpp"
#include "worker/rollout/task_steering.hpp"
#include "worker/rollout/task_writer.hpp"
#include "worker/rollout/time_limit.hpp"

#include <functional>
#include <optional>
#include <string>

namespace rollout {

struct run_context {
    /// Callbacks of the parts to the run.
    struct run_control {
        std::function<void()> end_work;      ///< of the current forward step: over the time limit, or canceled
        std::function<bool()> can_be_undone; ///< as task_steering::run_control
        completion<> given_up;               ///< as task_writer::on_given_up
        completion<> lost;                   ///< as task_writer::on_lost
    };

    run_context(run_environment &environment, rollout::task task, rollout::model &model, run_control run);
    run_context(const run_context &) = delete;
    run_context &operator=(const run_context &) = delete;

    run_environment &environment;
    rollout::task task;
    rollout::model &model; ///< its entry, which only this run changes
    deployment_plan plan;

    /// Set once all weights have been held: what the gate saw. The promotion may still need approval.
    std::optional<std::string> shifted;

    /// Says which revisions the task leaves to be unloaded later, and why; as a sentence. Empty: none.
    std::string left_loaded;

    time_limit limit;
    route_publisher routes;
    task_writer writer;
    run_permit permit;
    task_steering steering;
};

/// Returns whether that is the revision that the task brings.
bool is_ours(const run_context &run, const std::optional<served_revision> &revision);

} // namespace rollout
