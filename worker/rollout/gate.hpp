// The gate: whether green may have more traffic, by what the gateways counted of it and of blue over the same time.
// No clock and no I/O here; hold.hpp looks every second.
#pragma once

#include "common/json.hpp"
#include "common/traffic_counters.hpp"
#include "worker/settings.hpp"

#include <string>

namespace rollout {

/// What was counted over the same time. Blue has no requests where green has all the traffic.
struct gate_window {
    traffic_counters green;
    traffic_counters blue;
};

struct gate_verdict {
    enum class kind {
        undecided, ///< too few requests
        good,
        bad,
    };

    kind is = kind::undecided;
    std::string reason; ///< a sentence without its full stop: the counts, and the limit that was passed
};

/// A 4xx is the client's doing, unless green's share of them is far above blue's (more than twice blue's and ten points
/// on top; more than half where blue has no requests): a server answers 400 for a model that fell away. They are
/// failures then. More failures than `min_requests` good answers could make up for are judged at once.
gate_verdict judge(const gate_settings &limits, const gate_window &window);

/// "950 requests, 3 failed (0.32 %), p99 120 ms".
std::string counters_words(const traffic_counters &of);

/// For a task's `metadata.gate`: the weight, the counts, the limits, the verdict.
json_ptr gate_report(const gate_settings &limits, const gate_window &window, const gate_verdict &verdict,
                     unsigned weight);

} // namespace rollout
