// A client's word to a task that runs, and the time in which a client is waited for.
#include "worker/rollout/task_run.hpp"

namespace rollout {

std::string task_run::steer(steering verb)
{
    const std::string now = "Step " + what.step + " of task " + what.task_id + " is running";
    if (rolling_back_) {
        return "Task " + what.task_id + " is taking the way back already; wait for its end.";
    }
    if (is_final(what.status)) {
        return "Task " + what.task_id + " is " + std::string(status_name(what.status)) +
               " and takes nothing any more.";
    }
    if (verb == steering::cancel) {
        if (past_the_point_of_no_return()) {
            return now + (what.kind == task_kind::deploy
                              ? ": revision " + std::to_string(what.model_revision) +
                                    " has been promoted and stays; a completed deployment takes rollback."
                              : ": the model is unloaded already; post a deployment to bring it back.");
        }
        what.cancel_asked = true;
        note_change();
        interrupt();
        return {};
    }
    const bool holds = on_steered != nullptr;
    const bool shifts = what.kind == task_kind::deploy && what.step == "shift";
    switch (verb) {
    case steering::promote:
        if (!holds) {
            return now + "; promote is for a hold, or a rollout that waits for it.";
        }
        what.promote_asked = true;
        what.paused = false;
        break;
    case steering::pause:
        if (!shifts) {
            return now + "; only a shift can be paused.";
        }
        if (shifted) {
            return now + ", and its last hold is over; cancel the task to keep it from promoting.";
        }
        if (what.paused) {
            return "Task " + what.task_id + " is paused already.";
        }
        what.paused = true;
        break;
    case steering::resume:
        if (!what.paused) {
            return "Task " + what.task_id + " is not paused.";
        }
        what.paused = false;
        what.detail = share_words() + ".";
        break;
    case steering::cancel:
    case steering::retry:
    case steering::rollback:
        return "Task " + what.task_id + " runs; " + std::string(steering_name(verb)) +
               " is for one that has come to its end.";
    }
    note_change();
    if (holds) {
        on_steered();
    }
    return {};
}


void task_run::wait_for_a_person(bool waits)
{
    if (waits == waits_for_a_person_ || stopping_) {
        return;
    }
    note_time();
    elapsed_before_ms_ = what.elapsed_ms;
    started_ = environment.time.now();
    waits_for_a_person_ = waits;
    if (waits) {
        deadline_.reset();
    } else if (!timed_out_) {
        start_deadline();
    }
}

} // namespace rollout
