// Accepts new tasks: checks them against the configuration, and writes them to the journal. Whether an engine runs that
// carries them out makes no difference: it learns of them from the journal's news.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/engine_view.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_queues.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace rollout {

/// The number of waiting tasks is bounded by limits.max_queue, the number of those on their way into the journal by
/// limits.max_unwritten.
class task_intake {
  public:
    /// `journal` and `time` outlive the intake.
    task_intake(std::shared_ptr<const settings> config, journal &journal, clock &time);

    /// Sets the engine that runs from now on, which knows of all tasks that the journal has; null: none runs.
    void set_engine(const engine_view *engine) noexcept { engine_ = engine; }

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

    /// Returns what a queue keeps of an unfinished task of the journal. Of a task that was accepted here, and whose news
    /// these are, the document is not read.
    waiting_task queued(const task_row &unfinished) const;

    /// Called when everybody has had a commit's news, which may come some time after the answers.
    void on_commit(const journal_news &news);

    /// Returns how many tasks wait, including those that are being written to the journal. All that are unfinished wait
    /// if no engine runs.
    std::size_t waiting() const;

  private:
    void refuse(const task &wanted, std::vector<json_fault> faults, answer_fn answer);
    waiting_task queued(const task &from) const;
    bool supersedes(const task &wanted) const;
    wait_state turn_of(const std::string &model_id) const;
    void begin_arrival(const std::string &model_id, const std::string &task_id);
    void end_arrival(const std::string &model_id);
    std::string in_use_by(const submission &wanted) const;
    void await_news(const std::string &model_id, const waiting_task &wanted, const task_row &row);
    void on_created(journal::creation result, const task_row &row, const answer_fn &answer);

    std::shared_ptr<const settings> config_;
    journal &journal_;
    clock &time_;
    const engine_view *engine_ = nullptr;
    std::size_t arriving_ = 0;  ///< new tasks on their way into the queues
    std::size_t unwritten_ = 0; ///< new tasks on their way into the journal

    struct arrivals {
        std::size_t count = 0;
        std::string last; ///< the id of the last of them
    };
    std::unordered_map<std::string, arrivals> arriving_of_; ///< those on their way into the queues, by model

    /// A task that is durable, and of which the engine has not heard.
    struct accepted {
        std::string model_id;
        waiting_task waits;
    };
    std::map<std::uint64_t, accepted> accepted_; ///< by sequence: whose news are still to come
    std::uint64_t known_up_to_ = 0;              ///< the revision that the last news came up to
};

} // namespace rollout
