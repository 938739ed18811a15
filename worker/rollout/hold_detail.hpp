// What a hold waits for, in words: pure, no clock and no I/O here. hold.cpp says which of these it is.
#pragma once

#include "worker/domain/task.hpp"

#include <cstdint>
#include <string>

namespace rollout {

/// Formats the share of a task's revision: "Revision 7 has 25 % of the traffic of model 123".
std::string format_share(const task &of);

/// A hold as the words see it. Times are microseconds since 1970, UTC.
struct hold_view {
    std::string share;             ///< as format_share says it
    std::int64_t now_us = 0;       ///< for times of another day, which are given with their date
    std::int64_t ends_us = 0;      ///< when its time is over
    std::uint64_t kept_loaded = 0; ///< of the watch after a promotion: the revision that stays loaded for it; else 0
};

/// Says that its time is not over.
wait_state wait_for_time(const hold_view &of);

/// Says that its time is over and the gate has too few requests to judge by: `has` of `wanted`, until `until_us`, when
/// `on_no_traffic` (`promote` or `fail`) decides. The count is said in tenths of what is wanted, so that a wait has at most ten sentences.
wait_state wait_for_requests(const hold_view &of, std::uint64_t has, std::uint64_t wanted, std::int64_t until_us,
                             const std::string &on_no_traffic);

/// Says that its time is over and nothing stands against green, but requests of it hang: until `until_us`, when that fails the
/// rollout.
wait_state wait_for_answers(const hold_view &of, std::int64_t until_us);

/// Says that a person decides: `verb` is `promote`, or `resume` for a hold that is paused.
wait_state wait_for_person(const hold_view &of, const std::string &task_id, const std::string &verb);

/// Formats a time as "12:40:10 UTC"; with its date, "2026-11-24 12:40:10 UTC", if `now_us` is on another day.
std::string format_moment(std::int64_t us, std::int64_t now_us);

} // namespace rollout
