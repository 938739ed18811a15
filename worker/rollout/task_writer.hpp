// Writes a task's document to the journal: together with its model before and after each step, which the run waits for, and
// alone when there is only something to read in it, which nobody waits for.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/time_limit.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace rollout {

class task_writer {
  public:
    /// All of these outlive the writer. It changes of `task` what a document says of the moment: `updated_us`, `elapsed_ms`,
    /// `progress`, `waits_for`, `hold_ends_us`, `detail`, `revision`.
    task_writer(rollout::journal &journal, clock &time, const time_limit &limit, rollout::task &task,
                const rollout::model &model);

    // To be set before anything is written; each may be null.

    /// The task and its model are durable as they were saved. Called before `then`.
    std::function<void(std::uint64_t revision)> on_durable;

    /// The document says that the task waits for something else than before, or for nothing any more.
    std::function<void()> on_waits_changed;

    /// A save has failed after `give_up`.
    completion<> on_given_up;

    // What a step depends on.

    /// Writes the task and its model as they are; calls `then` once both are durable. A journal that fails is tried again until
    /// it works.
    void save(completion<> then);

    /// Stops trying again. True if a save waited for its next attempt: its `then` is not called any more. If one is on its way
    /// and fails, `on_given_up` is called.
    bool give_up();

    /// Writes the task as it is, without its model, once. `done` is told how that went, with the row as it was written, even if
    /// the writer is gone by then.
    using written_fn = std::function<void(const outcome &result, const task_row &row)>;
    void write_once(written_fn done);

    // What people read.

    /// Writes the task as it is; nothing waits for it. If the journal fails, it is written later.
    void note();

    /// Says how far the running step is, 0 to 1 and in words.
    void note_progress(double share_of_step, const std::string &words);

    /// Says what the task waits for, in `waits_for`, `hold_ends_at` and `detail`; written if it is another thing than before.
    void say_waiting(const wait_state &what_for);

    /// Says that the task works again. Goes with the next write, or with `note_if_stale`.
    void stop_waiting();

    /// Writes the task if its document says something that is over: before work that takes its time and says nothing itself.
    void note_if_stale();

    /// The task takes the way back: whatever is said from now on begins with why.
    void say_first(std::string why);

  private:
    /// Of the task with its model. A task must not be written ahead of its model.
    enum class save_state {
        none,
        under_way,
        failed,   ///< to be tried again
        given_up, ///< and not tried again
    };

    void prepare();
    void on_saved(const outcome &result, std::uint64_t revision, completion<> then);
    std::string running_detail() const;

    rollout::journal &journal_;
    clock &time_;
    const time_limit &limit_;
    rollout::task &task_;
    const rollout::model &model_;
    std::optional<std::string> way_back_; ///< why it is taken
    save_state save_ = save_state::none;
    bool gives_up_ = false;
    bool is_stale_ = false; ///< what the document says last is over, or could not be written
    wait_reason written_wait_ = wait_reason::none;
    operation_ptr save_pause_; ///< before another attempt
    operation_ptr note_pause_;
    lifetime lifetime_;
};

} // namespace rollout
