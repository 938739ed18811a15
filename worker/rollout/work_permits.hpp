// The permits that bound how many runs work side by side (limits.max_concurrent_rollouts).
#pragma once

#include "worker/async/outcome.hpp"

#include <string>

namespace rollout {

/// A run holds a permit while it fetches, stages, loads or unloads. What only waits, for time, traffic, a person or gateways, goes
/// on without one, and the way back never needs one.
class work_permits {
  public:
    virtual ~work_permits() = default;

    /// Whether the model's run has a permit.
    virtual bool has_permit(const std::string &model_id) const = 0;

    /// Ends with ok once the model's run has a permit; those who wait get theirs by urgency, then by the order of acceptance.
    /// One wait a run at a time.
    virtual operation_ptr acquire_permit(const std::string &model_id, done_fn done) = 0;

    /// A run without a permit has nothing to give back.
    virtual void release_permit(const std::string &model_id) = 0;
};

} // namespace rollout
