// Texts of a task that waits for gateways, servers, requests in flight or its turn: pure, no clock and no I/O here.
// The texts of a hold are in hold_detail.hpp. Times are microseconds since 1970, UTC.
#pragma once

#include "worker/domain/task.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Says that every gateway must follow the route of a model. `missing`: as gateway_control::missing returns it.
/// `until_us` 0: for as long as it takes.
wait_state wait_for_gateways(const std::string &model_id, const gateway_control::followers &are,
                             const std::string &missing, std::int64_t until_us, std::int64_t now_us);

/// Says that requests in flight must end on a revision that no longer gets traffic; it is unloaded at `until_us`
/// anyway. Their count is rounded up to a power of two, so that the text seldom changes. No value: a gateway does not
/// answer.
wait_state wait_for_drain(std::uint64_t revision, const std::optional<std::uint64_t> &in_flight,
                          std::int64_t until_us, std::int64_t now_us);

/// Says that a gateway may still route to retired revisions; `why`: as gateway_control::routing_before returns it.
/// Empty if there are none.
std::string stays_loaded(const std::vector<std::uint64_t> &revisions, const std::string &why);

/// Says that servers which are down have yet to unload a revision. Empty if there are none.
std::string stays_on_servers(std::uint64_t revision, const std::vector<std::string> &peers);

/// Says that an inference server must do something: `act` is "load 123__r7". `until_us` 0: there is no single bound
/// for all of it.
wait_state wait_for_server(const std::string &backend, const std::string &act, std::int64_t until_us,
                           std::int64_t now_us);

/// Says that a step will be retried.
wait_state wait_for_retry(unsigned attempts, const std::string &step, std::int64_t at_us, std::int64_t now_us,
                          const std::string &why);

/// Says that a task that has begun is ready to work again, but as many tasks are at work as may be.
wait_state wait_for_permit(const std::string &step, std::uint64_t revision);

/// Says that a task waits as nobody carries tasks out at the moment.
wait_state wait_for_engine();

/// Why a task has not begun, or has not continued since a restart. The first reason that applies is given.
struct turn_view {
    bool was_begun = false; ///< before a restart of rolloutd
    std::string behind;     ///< the task of its model that is ahead of it in the queue; empty: it is the first
    std::string running;    ///< the task of its model that is running; empty: none
    wait_reason running_waits_for = wait_reason::none;
    bool is_full = false;      ///< as many rollouts are at work as allowed
    bool none_may_run = false; ///< max_concurrent_rollouts is 0
};
wait_state wait_for_turn(const turn_view &of);

} // namespace rollout
