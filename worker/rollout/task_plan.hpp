// The plan of a task: made from what was asked for and from the configuration of today, and shown in the task's document
// (`metadata.plan`).
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/rollout/run_context.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace rollout {

class task_plan {
  public:
    /// `run` outlives it.
    explicit task_plan(run_context &run) : run_(run) {}

    /// Makes the context's `plan`. Empty if the configuration allows it still, else a sentence that says why not.
    std::string make();

    /// Shows in the task what it will do; goes with the next write. Again after a restart, which may have changed the
    /// configuration.
    void show();

    /// Asks the gateways how much traffic the model has, for what the plan says of its holds. Nothing waits for the answer: the
    /// plan is shown again, and written, when it is there.
    void ask_for_traffic();

    /// An answer that comes later changes nothing.
    void stop() { question_.reset(); }

  private:
    run_context &run_;
    std::optional<std::uint64_t> last_minute_; ///< requests of the model in the minute before the task began
    operation_ptr question_;
};

} // namespace rollout
