// Keeps the documents of waiting tasks up to date about their turn. These documents are not in memory: one that may
// be out of date is read and, if it is, written.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/task_queues.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace rollout {

/// Says what a task waits for, given the model, the task ahead of it in the queue (empty: it is the first), and
/// whether it was begun before a restart.
using turn_words_fn =
    std::function<wait_state(const std::string &model_id, const std::string &before, bool was_begun)>;

/// Updates a few tasks at a time: a long queue is worked off one by one, behind more urgent work. A task that cannot
/// be read or written is retried.
class turn_writer {
  public:
    /// All of these outlive the writer.
    turn_writer(const task_queues &queues, journal &journal, clock &time, turn_words_fn words);

    /// Brings a task's document up to date soon, if the task still waits by then.
    void update(task_name which);

    /// Does the same for the first task in the model's queue, if there is one.
    void update_first(const std::string &model_id);

    /// Does the same for a task that has just been put in its queue, unless it has begun, if its document is out of date.
    void check_last(const task_row &row);

    /// Stops reading and writing.
    void stop();

  private:
    void check(const task_row &row, const std::string &before);
    void work();
    void work_after(std::chrono::milliseconds pause);
    void write(const task_name &which, const task_row &row);
    void on_ended(const task_name &which, const outcome &result);

    const task_queues &queues_;
    journal &journal_;
    clock &time_;
    const turn_words_fn words_;
    std::set<task_name> unwritten_; ///< whose documents may be out of date
    std::size_t under_way_ = 0;     ///< being read and written
    operation_ptr soon_;
    bool stopped_ = false;
};

} // namespace rollout
