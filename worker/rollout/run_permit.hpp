// One run's permit to work (work_permits.hpp): released while the run only waits, and acquired again before it works.
// The task's time does not run while it waits for a permit.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/combine.hpp"
#include "worker/domain/task.hpp"
#include "worker/rollout/task_writer.hpp"
#include "worker/rollout/time_limit.hpp"
#include "worker/rollout/work_permits.hpp"

namespace rollout {

class run_permit {
  public:
    /// All of these outlive the permit.
    run_permit(work_permits &permits, clock &time, time_limit &limit, task_writer &writer, const rollout::task &task);

    /// Runs `work` once the run has a permit.
    operation_ptr work_with(const start_fn &work, done_fn done);

    /// Runs `work`, which waits, at once. If the wait lasts, the permit is released.
    operation_ptr wait_without(const start_fn &work, done_fn done);

    /// Ends with ok once the run has a permit.
    operation_ptr take(done_fn done);

    /// Releases the permit, if the run has one: another task may work from now on.
    void release() { permits_.release_permit(task_.model_id); }

    /// Ends the wait: a permit that has not been released yet is kept.
    void keep() { giving_back_.reset(); }

  private:
    bool has() const { return permits_.has_permit(task_.model_id); }

    work_permits &permits_;
    clock &time_;
    time_limit &limit_;
    task_writer &writer_;
    const rollout::task &task_;
    operation_ptr giving_back_;
};

} // namespace rollout
