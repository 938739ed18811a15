// Cancels tasks that wait for their turn: on a client's request, or because a newer deployment of the model
// supersedes them.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_queues.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace rollout {

/// A task leaves its queue at once, so that it can no longer begin. If its end cannot be written to the journal, it
/// is put back where it was and continues to wait; not if the write was lost, as another rolloutd has the task then.
class queue_cancellation {
  public:
    /// `queues`, `journal` and `time` outlive this. `put_back` is called when a task waits again.
    queue_cancellation(task_queues &queues, journal &journal, clock &time, std::function<void()> put_back);

    /// Cancels a task that is in its queue. Answers once that is durable, or could not be made so.
    void cancel(task waits, answer_fn answer);

    /// Cancels the waiting deployments of a model that are ahead of the last one that supersedes them.
    void cancel_superseded(const std::string &model_id);

    bool is_canceling(const std::string &task_id) const { return canceling_.contains(task_id); }

    /// Also answers `answer` when the task being canceled is canceled, or could not be.
    void await(const std::string &task_id, answer_fn answer);

  private:
    void cancel_superseded(const std::string &model_id, const waiting_task &older, const std::string &newer);
    void write_superseded(task older, const waiting_task &was, const std::string &newer);
    void keep_superseded(const std::string &model_id, const waiting_task &was, const outcome &failure);
    void put_back(const std::string &model_id, const waiting_task &was, const outcome &failure);
    void answer(const std::string &task_id, const request_answer &result);

    task_queues &queues_;
    journal &journal_;
    clock &time_;
    const std::function<void()> put_back_;
    std::map<std::string, std::vector<answer_fn>> canceling_; ///< by task: the callers that wait for the journal
};

} // namespace rollout
