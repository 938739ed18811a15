// The progress of a fetch. Written by the fetch's thread, read by the loop.
#pragma once

#include <atomic>
#include <cstdint>

namespace rollout {

struct fetch_progress {
    std::atomic<std::uint64_t> done_bytes{0};
    std::atomic<std::uint64_t> total_bytes{0}; ///< 0: unknown
};

} // namespace rollout
