// How far a fetch is. Its thread counts, the loop reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace rollout {

struct fetch_progress {
    std::atomic<std::uint64_t> done_bytes{0};
    std::atomic<std::uint64_t> total_bytes{0}; ///< 0: not known
};

} // namespace rollout
