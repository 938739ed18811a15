// Waits for every gateway to follow the routes up to a revision.
#pragma once

#include "worker/async/clock.hpp"

#include <cstdint>
#include <list>

namespace rollout {

/// Outlives its operations.
class follow_waits {
  public:
    explicit follow_waits(clock &time) : time_(time) {}
    follow_waits(const follow_waits &) = delete;
    follow_waits &operator=(const follow_waits &) = delete;

    /// Ends with ok once `end_up_to` is called with that revision or a later one.
    operation_ptr start(std::uint64_t revision, done_fn done);

    /// Every gateway follows the routes up to that revision: ends these waits. The callbacks run later, from the
    /// loop.
    void end_up_to(std::uint64_t revision);

  private:
    class wait;

    clock &time_;
    std::list<wait *> waits_;
};

} // namespace rollout
