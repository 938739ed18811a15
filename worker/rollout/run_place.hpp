// The place of one run among those that work (work_places.hpp): given back while the run only waits, and taken again before it
// works. The task's time stands still while it waits for one.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/combine.hpp"
#include "worker/domain/task.hpp"
#include "worker/rollout/task_writer.hpp"
#include "worker/rollout/time_limit.hpp"
#include "worker/rollout/work_places.hpp"

namespace rollout {

class run_place {
  public:
    /// All of these outlive it.
    run_place(work_places &places, clock &time, time_limit &limit, task_writer &writer, const rollout::task &task);

    /// Runs `work` once the run has a place.
    operation_ptr work_with(const start_fn &work, done_fn done);

    /// Runs `work`, which waits, at once. If it lasts, the place is given back.
    operation_ptr wait_without(const start_fn &work, done_fn done);

    /// Ends with ok once the run has a place.
    operation_ptr take(done_fn done);

    /// The wait is over: a place that was not given back stays.
    void keep() { giving_back_.reset(); }

  private:
    bool has() const { return places_.has_place(task_.model_id); }

    work_places &places_;
    clock &time_;
    time_limit &limit_;
    task_writer &writer_;
    const rollout::task &task_;
    operation_ptr giving_back_;
};

} // namespace rollout
