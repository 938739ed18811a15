// Texts that say what a hold waits for: pure, no clock and no I/O here. hold.cpp decides which of them applies.
#pragma once

#include "worker/domain/task.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <string>

namespace rollout {

/// Formats the share of a task's revision: "Revision 7 has 25 % of the traffic of model 123".
std::string format_share(const task &of);

/// A hold, as far as the texts need it. Times are microseconds since 1970, UTC.
struct hold_view {
    std::string share;             ///< as format_share returns it
    std::int64_t now_us = 0;       ///< a time on another day is given with its date
    std::int64_t ends_us = 0;      ///< when its time is over
    std::uint64_t kept_loaded = 0; ///< the revision that stays loaded for the watch after a promotion; else 0
};

/// Says that the hold's time is not over.
wait_state wait_for_time(const hold_view &of);

/// Says that the hold's time is over but the gate has too few requests to judge by: `has` of `wanted`, until
/// `until_us`, when `on_no_traffic` (`promote` or `fail`) decides. The count is given in tenths of `wanted`, so that
/// a wait has at most ten different texts.
wait_state wait_for_requests(const hold_view &of, std::uint64_t has, std::uint64_t wanted, std::int64_t until_us,
                             const std::string &on_no_traffic);

/// Says that the hold's time is over and nothing speaks against green, but some of its requests hang: until
/// `until_us`, when that fails the rollout.
wait_state wait_for_answers(const hold_view &of, std::int64_t until_us);

/// Says that a person must decide: `verb` is `promote`, or `resume` for a paused hold.
wait_state wait_for_person(const hold_view &of, const std::string &task_id, const std::string &verb);

/// Formats a time as "12:40:10 UTC"; with its date, "2026-11-24 12:40:10 UTC", if `now_us` is on another day.
std::string format_moment(std::int64_t us, std::int64_t now_us);

/// Names the servers that failed requests, those with the most first: "; failures by server: 10.0.0.2:8000 17". Empty if
/// there are none.
std::string failed_servers(const gateway_control::server_failures &failures);

} // namespace rollout
