// A client's word to a task that runs, and the time that does not count: a client is waited for, or a place.
#include "worker/rollout/hold_words.hpp"
#include "worker/rollout/task_run.hpp"

namespace rollout {

std::string task_run::steer(steering verb, steered_fn done)
{
    if (std::string why = objection_to(verb); !why.empty()) {
        return why;
    }
    const client_words before = {what.paused, what.cancel_asked, what.promote_asked};
    take_word(verb);
    note_time();
    note_told();
    being_steered_ = true;
    environment.book.save(what, nullptr,
                          [this, alive = alive_, verb, before, row = row_of(what, 0),
                           done = std::move(done)](const outcome &how, std::uint64_t revision) mutable {
                              if (*alive) {
                                  being_steered_ = false;
                                  how ? follow_word(verb) : take_back(verb, before);
                              }
                              row.revision = revision;
                              done(how, row);
                          });
    return {};
}


/// Why that word makes no sense now.
std::string task_run::objection_to(steering verb) const
{
    const std::string now = "Step " + what.step + " of task " + what.task_id + " is running";
    if (rolling_back_) {
        return "Task " + what.task_id + " is taking the way back already; wait for its end.";
    }
    if (is_final(what.status)) {
        return "Task " + what.task_id + " is " + std::string(status_name(what.status)) +
               " and takes nothing any more.";
    }
    switch (verb) {
    case steering::cancel:
        if (past_the_point_of_no_return()) {
            return now + (what.kind == task_kind::deploy
                              ? ": revision " + std::to_string(what.model_revision) +
                                    " has been promoted and stays; a completed deployment takes rollback."
                              : ": the model is unloaded already; post a deployment to bring it back.");
        }
        return {};
    case steering::promote:
        return on_steered != nullptr ? "" : now + "; promote is for a hold, or a rollout that waits for it.";
    case steering::pause:
        if (what.kind != task_kind::deploy || what.step != "shift") {
            return now + "; only a shift can be paused.";
        }
        if (shifted) {
            return now + ", and its last hold is over; cancel the task to keep it from promoting.";
        }
        return what.paused ? "Task " + what.task_id + " is paused already." : "";
    case steering::resume:
        return what.paused ? "" : "Task " + what.task_id + " is not paused.";
    case steering::retry:
    case steering::rollback:
        break;
    }
    return "Task " + what.task_id + " runs; " + std::string(steering_name(verb)) +
           " is for one that has come to its end.";
}


/// What is to be written.
void task_run::take_word(steering verb)
{
    if (verb == steering::cancel) {
        what.cancel_asked = true;
        return;
    }
    what.paused = verb == steering::pause;
    what.promote_asked = what.promote_asked || verb == steering::promote;
    if (verb == steering::resume) {
        stop_waiting();
        what.detail = share_words() + ".";
    } else if (verb == steering::pause && on_steered) {
        const wait_state person = wait_for_person({share_words(), 0, what.hold_ends_us, 0}, what.task_id, "resume");
        what.set_waiting(person);
        what.detail = person.sentence;
    }
}


/// Now that it is durable. The run may have come upon it already.
void task_run::follow_word(steering verb)
{
    if (verb == steering::cancel) {
        if (!rolling_back_ && !stopping_) {
            interrupt();
        }
    } else if (on_steered) {
        on_steered();
    }
}


/// A word that could not be written is none, but for one that the run has come upon already.
void task_run::take_back(steering verb, const client_words &before)
{
    const bool went_on = verb == steering::promote && !what.promote_asked;
    what.cancel_asked = before.cancel_asked || (what.cancel_asked && rolling_back_);
    what.paused = before.paused && !went_on;
    what.promote_asked = before.promote_asked && what.promote_asked;
    if (on_steered) {
        on_steered();
    }
}


void task_run::wait_for_a_person(bool waits)
{
    if (waits != waits_for_a_person_ && !stopping_) {
        waits_for_a_person_ = waits;
        let_time_stand(waits);
    }
}


void task_run::let_time_stand(bool stands)
{
    if (stands == time_stands_ || stopping_) {
        return;
    }
    note_time();
    elapsed_before_ms_ = what.elapsed_ms;
    started_ = environment.time.now();
    time_stands_ = stands;
    if (stands) {
        deadline_.reset();
    } else if (!timed_out_) {
        start_deadline();
    }
}

} // namespace rollout
