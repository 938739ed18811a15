// Accepts new tasks: checks them against the configuration, writes them to the journal, and puts them in their
// model's queue.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_queues.hpp"
#include "worker/scheduler/turn_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace rollout {

/// The number of waiting tasks is bounded by limits.max_queue, the number of those on their way into the journal by
/// limits.max_unwritten.
class task_intake {
  public:
    struct surroundings {
        /// Returns the id of the model's deployment that is running and not over; empty if there is none.
        std::function<std::string(const std::string &model_id)> running_deployment;

        turn_words_fn words;

        /// Called when a task is in its queue and its client has the answer.
        std::function<void(const task_row &row)> accepted;
    };

    /// `queues`, `journal` and `time` outlive the intake.
    task_intake(std::shared_ptr<const settings> config, task_queues &queues, journal &journal, clock &time,
                surroundings around);

    /// Uses these settings from now on.
    void use(std::shared_ptr<const settings> config);

    /// Accepts a client's task. Answers once it is durable, or with a refusal.
    void submit(submission wanted, answer_fn answer);

    /// Accepts a task that has been checked against the configuration.
    void accept(task wanted, answer_fn answer);

    task new_task(task_kind kind, std::string task_id, std::string model_id, std::string parent_id,
                  std::shared_ptr<const json_t> config) const;

    /// Lists the reasons why the configuration does not allow the task.
    std::vector<json_fault> faults_of(const task &wanted) const;

    /// Puts an unfinished task from the journal in its queue; called at start, in the order of acceptance.
    void enqueue(const task_row &unfinished);

    /// Returns how many tasks wait, including those that are being written to the journal.
    std::size_t waiting() const noexcept { return queues_.size() + arriving_; }

  private:
    waiting_task waiting_task_of(const task &from) const;
    bool supersedes(const task &wanted) const;
    std::string last_of(const std::string &model_id) const;
    void begin_arrival(const std::string &model_id, const std::string &task_id);
    void end_arrival(const std::string &model_id);
    std::string in_use_by(const submission &wanted) const;
    void on_created(const waiting_task &wanted, journal::creation result, const task_row &row,
                    const answer_fn &answer);

    std::shared_ptr<const settings> config_;
    task_queues &queues_;
    journal &journal_;
    clock &time_;
    const surroundings around_;
    std::size_t arriving_ = 0;  ///< new tasks on their way into the queues
    std::size_t unwritten_ = 0; ///< new tasks on their way into the journal

    struct arrivals {
        std::size_t count = 0;
        std::string last; ///< the id of the last of them
    };
    std::unordered_map<std::string, arrivals> arriving_of_; ///< those on their way into the queues, by model
};

} // namespace rollout
