// The report of what a task will do, for its `metadata.plan`. No clock and no I/O here.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/task_status.hpp"
#include "worker/rollout/plan.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace rollout {

struct plan_view {
    task_kind kind;
    const deployment_plan &plan; ///< of a deletion, only its `rollout` is used
    bool has_blue;               ///< the traffic moves away from it, weight by weight
    std::vector<const backend_settings *> servers;
    std::optional<std::uint64_t> requests_a_minute; ///< of the model, if known
};

/// Returns the weights of a rollout. Without a blue there is no reason to go step by step.
std::vector<shift_step> weights_of(const deployment_plan &plan, bool has_blue);

/// Reports `steps`, `promote`, `watch_s`, `old`, `drain_s`, `progress_deadline_s`, `on_no_traffic`, `gate` if it
/// judges something, `servers` and `warnings`; for a deletion `drain_s` and `servers`.
json_ptr plan_report(const plan_view &of);

} // namespace rollout
