// A hold: the traffic stays as it is for a time, the gate checks it every second, and a client may pause or continue
// it.
#pragma once

#include "worker/rollout/gate.hpp"
#include "worker/rollout/run_context.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace rollout {

struct hold_request {
    std::chrono::seconds time{};
    unsigned weight = 0; ///< green's share during the hold, percent
    std::uint64_t green = 0;
    std::uint64_t blue = 0; ///< 0: there is none to compare with

    bool judged = true; ///< by the rollout's gate, if it has one

    /// If there is too little traffic for the gate, the hold is extended up to the rollout's `progress_deadline_s`.
    bool needs_traffic = true;
    bool until_promoted = false; ///< it also needs a client's `promote`
};

/// Holds the traffic. Succeeds with the counts, for the step's detail; fails permanently if the gate rejects green,
/// or if there was no traffic and the rollout's `on_no_traffic` is `fail`. The report is in the task's `gate` and is
/// saved with its next write.
operation_ptr hold(run_context &run, const hold_request &request, done_fn done);

} // namespace rollout
