// The time of day on this machine.
#pragma once

#include <chrono>
#include <cstdint>

namespace rollout::ctl {

/// Returns microseconds since 1970, UTC.
inline std::int64_t wall_us() noexcept
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

} // namespace rollout::ctl
