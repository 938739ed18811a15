// Writes a task's document to the journal: together with its model before and after each step, which the run waits
// for, and alone when only the text for readers changes, which nothing waits for.
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
    /// All of these outlive the writer. In `task` it changes what describes the current moment: `updated_us`,
    /// `elapsed_ms`, `progress`, `waits_for`, `hold_ends_us`, `detail`, `revision`.
    task_writer(rollout::journal &journal, clock &time, const time_limit &limit, rollout::task &task,
                const rollout::model &model);

    // Set these before anything is written; each may be null.

    /// Called when the task and its model are durable as they were saved, before `then`.
    std::function<void(std::uint64_t revision)> on_durable;

    /// Called when the document says that the task waits for something else than before, or no longer waits.
    std::function<void()> on_waits_changed;

    /// Called when a save has failed after `give_up`, or came after the loss of another write.
    completion<> on_given_up;

    /// Called when a write was lost: another rolloutd has the task. No `then` is called any more, and nothing is
    /// written.
    completion<> on_lost;

    // Writes that a step depends on.

    /// Writes the task and its model as they are; calls `then` once both are durable. If the journal fails, retries
    /// until it works.
    void save(completion<> then);

    /// Stops retrying. Returns true if a save was waiting for its next attempt, or was lost: its `then` is never called.
    /// If a save is under way and fails, `on_given_up` is called.
    bool give_up();

    /// Writes the task as it is, without its model, once. `done` gets the result and the row as it was written, even
    /// if the writer is gone by then; before `on_lost` if the write was lost.
    using written_fn = std::function<void(const outcome &result, const task_row &row)>;
    void write_once(written_fn done);

    // Writes for readers.

    /// Writes the task as it is; nothing waits for it. If the journal fails, it is written later.
    void note();

    /// Reports how far the running step is, 0 to 1 and as text.
    void note_progress(double share_of_step, const std::string &words);

    /// Reports how far the running step is, as text. Goes with the next write, or with `say_waiting`.
    void say_step(const std::string &words);

    /// Reports what the task waits for, in `waits_for`, `hold_ends_at` and `detail`; written if it differs from
    /// before.
    void say_waiting(const wait_state &what_for);

    /// Reports that the task is working again. Goes with the next write, or with `note_if_stale`.
    void stop_waiting();

    /// Writes the task if its document is out of date: called before work that takes time and reports nothing itself.
    void note_if_stale();

    /// Sets the reason for a rollback, with which every later detail begins.
    void say_first(std::string why);

  private:
    /// The state of a save of the task with its model. A task must not be written ahead of its model.
    enum class save_state {
        none,
        under_way,
        failed,   ///< and waits for the next attempt
        given_up, ///< and is not retried
        lost,     ///< or any other write was
    };

    void prepare();
    void lose(const outcome &result, bool is_save);
    void on_saved(const outcome &result, std::uint64_t revision, completion<> then);
    std::string running_detail() const;

    rollout::journal &journal_;
    clock &time_;
    const time_limit &limit_;
    rollout::task &task_;
    const rollout::model &model_;
    std::optional<std::string> way_back_; ///< why the task rolls back
    save_state save_ = save_state::none;
    bool gives_up_ = false;
    bool save_was_lost_ = false;
    bool is_stale_ = false; ///< what the document says is out of date, or could not be written
    wait_reason written_wait_ = wait_reason::none;
    operation_ptr save_pause_; ///< before the next attempt
    operation_ptr note_pause_;
    lifetime lifetime_;
};

} // namespace rollout
