// Creates the new task for a client's retry or rollback of a finished task.
#pragma once

#include "worker/async/lifetime.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/model_registry.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_intake.hpp"

#include <functional>
#include <set>
#include <string>

namespace rollout {

/// A client that has chosen the new task's id may repeat its request: it gets the task that the first one created,
/// whatever state the model is in by now.
class follow_ups {
  public:
    /// Returns whether a task of the model other than `but_for` is running or waiting.
    using is_busy_fn = std::function<bool(const std::string &model_id, const std::string &but_for)>;

    /// `intake`, `models` and `journal` outlive this.
    follow_ups(task_intake &intake, const model_registry &models, journal &journal, is_busy_fn is_busy);

    /// Returns whether a task with the id that the client has chosen is being looked up or created: the request must
    /// be made again later.
    bool is_being_made(const steer_request &wanted) const { return being_made_.contains(wanted.new_task_id); }

    /// Answers with the new task, with the one that the same request created before, or with a refusal. `wanted` is a
    /// retry or a rollback of `found`, and is not being made.
    void make(const steer_request &wanted, const task &found, answer_fn answer);

  private:
    void make_anew(const steer_request &wanted, const task &found, const answer_fn &answer);
    void retry(const steer_request &wanted, const task &found, const answer_fn &answer);
    void roll_back(const steer_request &wanted, const task &found, const answer_fn &answer);
    std::string objection_to_rollback(const task &found) const;
    task follow_up_of(const steer_request &wanted, const task &found) const;

    task_intake &intake_;
    const model_registry &models_;
    journal &journal_;
    const is_busy_fn is_busy_;
    std::set<std::string> being_made_; ///< ids for new tasks, while they are looked up and written
    lifetime lifetime_;
};

} // namespace rollout
