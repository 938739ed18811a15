// Applies a client's verb to a task: cancel, promote, pause, resume, retry or rollback. The journal says which state
// the task is in; the owner of the queues and of the running tasks says where it is.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/follow_ups.hpp"
#include "worker/scheduler/queue_cancellation.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_queues.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace rollout {

/// The position of an unfinished task.
enum class task_position : std::uint8_t {
    between,  ///< just accepted, or just over: it will be elsewhere soon
    queued,   ///< waits for its turn
    starting, ///< begun, but accepts no verbs yet
    running,
    steered, ///< runs, and an earlier verb is on its way to the journal
};

/// A verb is acknowledged once it is durable, and takes effect afterwards. If the task is on its way from one
/// position to the next, the verb is retried, for a bounded time, until the task has arrived.
class task_control {
  public:
    using steered_fn = std::function<void(const outcome &result, const task_row &row)>;

    struct surroundings {
        std::function<task_position(const task_name &which)> position_of;

        /// Applies the verb to the model's task, which is `running`; like task_run::steer.
        std::function<std::string(const std::string &model_id, task_verb verb, steered_fn done)> steer;
    };

    /// All of these outlive the control.
    task_control(journal &journal, clock &time, queue_cancellation &cancellation, follow_ups &followers,
                 surroundings around);

    /// Answers once: with the task, with the new task that the verb creates, or with a refusal that says why the verb
    /// makes no sense now.
    void steer(steer_request wanted, answer_fn answer);

    /// Refuses the verbs that wait, and all later ones.
    void stop();

  private:
    struct verb_call {
        steer_request request;
        answer_fn answer;
        unsigned tries = 0;
    };

    void steer(verb_call call);
    void steer_open(const verb_call &call, const task &found);
    void steer_queued(const verb_call &call, const task &found);
    void steer_running(const verb_call &call, const task &found);
    void steer_final(const verb_call &call, const task &found);
    void steer_later(const verb_call &call);

    journal &journal_;
    clock &time_;
    queue_cancellation &cancellation_;
    follow_ups &follow_ups_;
    const surroundings around_;
    std::map<std::uint64_t, std::pair<verb_call, operation_ptr>> pauses_; ///< verbs that will be retried
    std::uint64_t last_pause_ = 0;
    bool stopped_ = false;
};

} // namespace rollout
