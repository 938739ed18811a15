// The permits that bound how many runs work at the same time (limits.max_concurrent_rollouts).
#pragma once

#include "worker/async/outcome.hpp"

#include <string>

namespace rollout {

/// A run holds a permit while it fetches, stages, loads or unloads. While it only waits, for time, traffic, a person
/// or gateways, it needs none, and a rollback never does.
class work_permits {
  public:
    virtual ~work_permits() = default;

    /// Returns whether the model's run has a permit.
    virtual bool has_permit(const std::string &model_id) const = 0;

    /// Ends with ok once the model's run has a permit. Waiting runs get theirs by urgency, then in the order of
    /// acceptance. A run may have only one wait at a time.
    virtual operation_ptr acquire_permit(const std::string &model_id, done_fn done) = 0;

    /// Releases the run's permit; does nothing if it has none.
    virtual void release_permit(const std::string &model_id) = 0;
};

} // namespace rollout
