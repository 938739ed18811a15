// Which of the tasks gets the next permit.
#pragma once

#include "common/domain/task_status.hpp"

#include <cstdint>

namespace rollout {

/// In order: the most urgent first.
enum class urgency : std::uint8_t {
    begun,     ///< before a restart: continues at once, and takes a permit if there is one
    rollback,  ///< back to an earlier revision
    under_way, ///< a running task that has waited and is ready to work again
    deletion,
    deployment,
};

/// Returns how urgent a task is that waits in a queue.
constexpr urgency urgency_of(task_kind kind, task_status status, std::uint64_t rollback_to) noexcept
{
    return status != task_status::pending ? urgency::begun
           : kind == task_kind::remove    ? urgency::deletion
           : rollback_to != 0             ? urgency::rollback
                                          : urgency::deployment;
}

} // namespace rollout
