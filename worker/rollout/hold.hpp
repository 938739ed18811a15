// A hold: the traffic stays as it is for a time, the gate looks at it every second, and a client may pause it or go on.
#pragma once

#include "worker/rollout/gate.hpp"
#include "worker/rollout/run_context.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace rollout {

struct hold_request {
    std::chrono::seconds time{};
    unsigned weight = 0; ///< green's share while it lasts, percent
    std::uint64_t green = 0;
    std::uint64_t blue = 0; ///< 0: none to compare with

    bool judged = true; ///< by the rollout's gate, if it has one

    /// Too little traffic for the gate extends the hold up to the rollout's `progress_deadline_s`.
    bool needs_traffic = true;
    bool until_promoted = false; ///< and a client has to say `promote`
};

/// Holds the traffic. Ok with what was counted, for the step's detail; permanent if the gate says no, or there was no traffic
/// and the rollout's `on_no_traffic` is `fail`. What decided stands in the task's `gate`, to be saved with its next write.
operation_ptr hold(run_context &run, const hold_request &request, done_fn done);

} // namespace rollout
