// Operations made of operations: in sequence, and with retries.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/compound_operation.hpp"
#include "worker/async/outcome.hpp"

#include <chrono>
#include <functional>
#include <vector>

namespace rollout {

/// Returns an operation that ended before it began, for a caller that has nothing to do or cannot do it.
operation_ptr ended(clock &time, outcome result, done_fn done);

/// Runs the parts in order; ends with the first failure, or ok with the details of all. Ok if there are none.
operation_ptr in_order(clock &time, std::vector<start_fn> parts, done_fn done);

/// Runs all parts in order, whatever the result of each; ends with the first failure, or ok with the details of all.
operation_ptr each_in_turn(clock &time, std::vector<start_fn> parts, done_fn done);

/// Repeats the attempt until it succeeds or fails for good; `transient` means: not yet. The pauses grow from
/// `first_pause` to ten times that. After `timeout`, `on_timeout` makes the outcome from the last attempt's detail.
operation_ptr try_until(clock &time, start_fn attempt, std::chrono::milliseconds first_pause,
                        std::chrono::milliseconds timeout, std::function<outcome(const std::string &last)> on_timeout,
                        done_fn done);

/// Runs the work; if it takes longer than `timeout`, ends with `late` and abandons the work.
operation_ptr within(clock &time, const start_fn &work, std::chrono::milliseconds timeout, outcome late,
                     done_fn done);

} // namespace rollout
