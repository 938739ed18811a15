// One task, from its start (or from where a crash left it) to its final state: runs its steps in order, writes each
// to the journal before it runs and again when it ends, retries failures that may be transient, and rolls back if a
// step fails. The steps themselves are in deployment.cpp and deletion.cpp, the rules that refuse a task in
// admission.cpp.
#pragma once

#include "worker/async/completion.hpp"
#include "worker/base/log.hpp"
#include "worker/rollout/run_context.hpp"
#include "worker/rollout/run_step.hpp"
#include "worker/rollout/task_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rollout {

enum class run_phase : std::uint8_t {
    forward,      ///< runs one step after the other
    rolling_back, ///< which neither a client nor the time limit ends
    ended,        ///< the task's final state is on its way to the journal
    stopping,     ///< ends at the next stopping point; the next rolloutd continues from the journal
};

class task_run {
  public:
    /// `model` is the model's entry, which only this run changes until `ended` is called, once and from the loop.
    task_run(run_environment &environment, rollout::task task, rollout::model &model, completion<> ended);
    ~task_run();
    task_run(const task_run &) = delete;
    task_run &operator=(const task_run &) = delete;

    void start();

    /// Ends the work under way at its next stopping point; the journal has recorded where it was, and the next start
    /// continues from there. `stopped` is called once nothing is under way any more.
    void stop(completion<> stopped);

    /// Returns whether a write was lost, so that another rolloutd has the task: the run ends as if it were stopped, without
    /// another write, and `ended` is called once nothing is under way any more.
    bool is_lost() const noexcept { return is_lost_; }

    /// Like task_steering::steer; must not be called while the run `is_being_steered`.
    std::string steer(task_verb verb, task_writer::written_fn done);
    bool is_being_steered() const noexcept { return context_.steering.is_under_way(); }

    const rollout::task &task() const noexcept { return context_.task; }

  private:
    void begin();
    void resume();
    void list_steps();
    bool can_go_on() const;
    std::size_t index_of(std::string_view name) const;

    void enter(std::size_t index);
    void pass_idle(std::size_t index);
    void release_permit();
    void work();
    operation_ptr start_work(done_fn done);
    void on_worked(const outcome &result);
    void try_again(const outcome &result);
    void end_work();

    bool can_be_undone() const;
    void fail(const std::string &why);
    void enter_rollback();
    void on_rolled_back(const outcome &result);
    void finish(task_status status, const std::string &detail);
    void leave_forward(run_phase next);
    void lose();

    void save(completion<> then);
    void say(log_level level, const std::string &message) const;
    step_record &record();
    void begin_attempt();
    step_record &end_attempt(step_state as);

    run_phase phase_ = run_phase::forward;
    bool is_lost_ = false;
    run_context context_;
    task_plan plan_;
    const run_steps steps_;
    std::size_t current_ = 0; ///< index into the forward steps
    std::string failure_;     ///< as sentences
    operation_ptr operation_;
    operation_ptr pause_; ///< before the next attempt
    completion<> ended_;
    completion<> stopped_;
};

} // namespace rollout
