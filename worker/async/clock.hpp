// Time as the engine sees it: one clock for pauses and deadlines, which never jumps, and one for people.
#pragma once

#include "worker/async/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <functional>

namespace rollout {

class clock {
  public:
    virtual ~clock() = default;

    /// Monotonic, from no particular start.
    virtual std::chrono::milliseconds now() const = 0;

    /// Microseconds since 1970, UTC: for documents and logs only.
    virtual std::int64_t wall_us() const = 0;

    /// Calls once, from the loop, after that time; cancel() and destruction both mean that it does not.
    virtual operation_ptr after(std::chrono::milliseconds time, std::function<void()> call) = 0;
};

} // namespace rollout
