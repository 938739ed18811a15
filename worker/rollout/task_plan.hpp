// The plan of a task: made from the request and from the current configuration, and shown in the task's document
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

    /// Makes the context's `plan`. Returns an empty string if the configuration still allows it, else a sentence that
    /// says why not.
    std::string make();

    /// Shows in the task what it will do, with the next write. Called again after a restart, which may have changed
    /// the configuration.
    void show();

    /// Asks the gateways how much traffic the model has, for what the plan says of its holds. Nothing waits for the
    /// answer: when it arrives, the plan is shown again and written.
    void ask_for_traffic();

    /// Ignores answers that arrive later.
    void stop() { question_.reset(); }

  private:
    run_context &run_;
    std::optional<std::uint64_t> last_minute_; ///< the model's requests in the minute before the task began
    operation_ptr question_;
};

} // namespace rollout
