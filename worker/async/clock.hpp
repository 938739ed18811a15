// The engine's view of time: a clock for pauses and deadlines, which never jumps, and one for people.
#pragma once

#include "worker/async/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <functional>

namespace rollout {

class clock {
  public:
    virtual ~clock() = default;

    /// Returns monotonic time, from an arbitrary start.
    virtual std::chrono::milliseconds now() const = 0;

    /// Returns microseconds since 1970, UTC: for documents and logs only.
    virtual std::int64_t wall_us() const = 0;

    /// Calls `call` once, from the loop, after that time; not after cancel() or destruction.
    virtual operation_ptr after(std::chrono::milliseconds time, std::function<void()> call) = 0;
};

} // namespace rollout
