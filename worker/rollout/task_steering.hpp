// Applies a client's verb to a running task: cancel, promote, pause and resume. A verb is acknowledged once it is
// durable and takes effect afterwards; one that the journal does not accept changes nothing.
#pragma once

#include "common/domain/task_verb.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/domain/task.hpp"
#include "worker/rollout/task_writer.hpp"

#include <functional>
#include <memory>
#include <string>

namespace rollout {

class task_steering {
  public:
    /// Callbacks through which a verb queries the run and affects it.
    struct run_control {
        std::function<bool()> can_be_undone; ///< given what the run has done so far
        std::function<bool()> is_shifted;    ///< its last hold is over
        std::function<void()> end_work;      ///< ends the forward work under way, if any: the task is canceled
    };

    /// `task` and `writer` outlive it.
    task_steering(rollout::task &task, task_writer &writer, run_control run);

    /// Writes the task as the verb changes it. Returns an empty string if the verb makes sense now, else a sentence
    /// that says why not. `done` is called once the task is durable, with the task as it was written, or with the
    /// reason why it is not; even if the run is gone by then. Must not be called while `is_under_way`.
    std::string steer(task_verb verb, task_writer::written_fn done);

    /// Returns whether a verb is on its way to the journal.
    bool is_under_way() const noexcept { return is_under_way_; }

    /// Set by a hold while it is under way, which `promote` applies to: called when a verb has changed what the hold
    /// is to do.
    std::function<void()> on_steered;

  private:
    /// What clients have asked for.
    struct client_wishes {
        bool paused;
        bool cancel_asked;
        bool promote_asked;
    };

    std::string objection_to(task_verb verb) const;
    void take(task_verb verb);
    void follow(task_verb verb);
    void revert(task_verb verb, const client_wishes &before);
    bool is_on_its_way_back() const;

    rollout::task &task_;
    task_writer &writer_;
    const run_control run_;
    bool is_under_way_ = false;
    lifetime lifetime_;
};

} // namespace rollout
