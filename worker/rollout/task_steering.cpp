#include "worker/rollout/task_steering.hpp"

#include "worker/rollout/hold_detail.hpp"
#include "worker/rollout/run_step.hpp"

#include <utility>

namespace rollout {

task_steering::task_steering(rollout::task &task, task_writer &writer, run_control run)
    : task_(task), writer_(writer), run_(std::move(run))
{
}


std::string task_steering::steer(task_verb verb, task_writer::written_fn done)
{
    if (std::string why = objection_to(verb); !why.empty()) {
        return why;
    }
    const client_wishes before = {task_.paused, task_.cancel_asked, task_.promote_asked};
    take(verb);
    is_under_way_ = true;
    auto settle = lifetime_.bound([this, verb, before](const outcome &result) {
        is_under_way_ = false;
        if (!result.is_lost()) { // else the run ends
            result ? follow(verb) : revert(verb, before);
        }
    });
    writer_.write_once([settle, done = std::move(done)](const outcome &result, const task_row &row) mutable {
        settle(result);
        done(result, row);
    });
    return {};
}


/// Returns true during the rollback, and also after it while the final state is on its way to the journal.
bool task_steering::is_on_its_way_back() const
{
    return task_.step == rollback_step_name;
}


/// Returns why that verb makes no sense now; empty if it does.
std::string task_steering::objection_to(task_verb verb) const
{
    const std::string now = "Step " + task_.step + " of task " + task_.task_id + " is running";
    if (is_on_its_way_back()) {
        return "Task " + task_.task_id + " is rolling back already; wait for it to end.";
    }
    if (is_final(task_.status)) {
        return "Task " + task_.task_id + " is " + std::string(status_name(task_.status)) +
               " and accepts no more verbs.";
    }
    switch (verb) {
    case task_verb::cancel:
        if (!run_.can_be_undone()) {
            return now + (task_.kind == task_kind::deploy
                              ? ": revision " + std::to_string(task_.model_revision) +
                                    " has been promoted and stays; a completed deployment takes rollback."
                              : ": the model is unloaded already; post a deployment to bring it back.");
        }
        return {};
    case task_verb::promote:
        return on_steered != nullptr ? "" : now + "; promote is for a hold, or a rollout that waits for it.";
    case task_verb::pause:
        if (task_.kind != task_kind::deploy || task_.step != "shift") {
            return now + "; only a shift can be paused.";
        }
        if (run_.is_shifted()) {
            return now + ", and its last hold is over; cancel the task to keep it from promoting.";
        }
        return task_.paused ? "Task " + task_.task_id + " is paused already." : "";
    case task_verb::resume:
        return task_.paused ? "" : "Task " + task_.task_id + " is not paused.";
    case task_verb::retry:
    case task_verb::rollback:
        break;
    }
    return "Task " + task_.task_id + " runs; " + std::string(verb_name(verb)) +
           " is for one that has come to its end.";
}


/// Changes the task that is about to be written.
void task_steering::take(task_verb verb)
{
    if (verb == task_verb::cancel) {
        task_.cancel_asked = true;
        return;
    }
    task_.paused = verb == task_verb::pause;
    task_.promote_asked = task_.promote_asked || verb == task_verb::promote;
    if (verb == task_verb::resume) {
        writer_.stop_waiting();
        task_.detail = format_share(task_) + ".";
    } else if (verb == task_verb::pause && on_steered) {
        const wait_state person =
            wait_for_person({format_share(task_), 0, task_.hold_ends_us, 0}, task_.task_id, "resume");
        task_.set_waiting(person);
        task_.detail = person.sentence;
    }
}


/// Lets the verb take effect now that it is durable. The run may have acted on it already.
void task_steering::follow(task_verb verb)
{
    if (verb == task_verb::cancel) {
        run_.end_work();
    } else if (on_steered) {
        on_steered();
    }
}


/// Reverts a verb that could not be written, unless the run has acted on it already.
void task_steering::revert(task_verb verb, const client_wishes &before)
{
    const bool went_on = verb == task_verb::promote && !task_.promote_asked;
    task_.cancel_asked = before.cancel_asked || (task_.cancel_asked && is_on_its_way_back());
    task_.paused = before.paused && !went_on;
    task_.promote_asked = before.promote_asked && task_.promote_asked;
    if (on_steered) {
        on_steered();
    }
}

} // namespace rollout
