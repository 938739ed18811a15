// Operations that run concurrently, as one operation.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/compound_operation.hpp"
#include "worker/async/outcome.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace rollout {

struct side_by_side_rule {
    std::size_t at_once = std::numeric_limits<std::size_t>::max(); ///< parts under way at a time; at least one
    /// Once this many have succeeded, the others get as much time again as those took, at least `grace`, and are then
    /// abandoned.
    std::size_t enough = std::numeric_limits<std::size_t>::max();
    std::chrono::milliseconds grace{0};
};

/// The result of each part, in order; no value for a part that was abandoned or not started.
using side_by_side_fn = std::function<void(const std::vector<std::optional<outcome>> &results)>;

/// Runs all parts, starting the first ones first. A cancel cancels those that are under way and starts no more.
operation_ptr side_by_side(clock &time, std::vector<start_fn> parts, side_by_side_rule rule, side_by_side_fn done);

} // namespace rollout
