// Operations made of operations: one after the other, and again and again.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/compound_operation.hpp"
#include "worker/async/outcome.hpp"

#include <chrono>
#include <functional>
#include <vector>

namespace rollout {

/// Over before it began, for who finds nothing to do or cannot do it.
operation_ptr ended(clock &time, outcome how, done_fn done);

/// Runs them in their order; ends with the first failure, or ok with the details of all. Ok if there are none.
operation_ptr in_order(clock &time, std::vector<start_fn> parts, done_fn done);

/// Runs all of them in their order, whatever becomes of each; ends with the first failure, or ok with the details of all.
operation_ptr each_in_turn(clock &time, std::vector<start_fn> parts, done_fn done);

/// Tries until it is ok or fails for good; `transient` means: not yet. The pauses grow from `first_pause` to ten times
/// that. After `timeout` the outcome is what `on_timeout` makes of the last words.
operation_ptr try_until(clock &time, start_fn attempt, std::chrono::milliseconds first_pause,
                        std::chrono::milliseconds timeout, std::function<outcome(const std::string &last)> on_timeout,
                        done_fn done);

/// Runs the work; ends with `late` if it takes longer than `timeout`, and abandons it then.
operation_ptr within(clock &time, const start_fn &work, std::chrono::milliseconds timeout, outcome late,
                     done_fn done);

} // namespace rollout
