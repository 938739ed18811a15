// Who gets the next permit among the tasks that are worked on.
#pragma once

#include "common/domain/task_status.hpp"

#include <cstdint>

namespace rollout {

/// The first ones first.
enum class urgency : std::uint8_t {
    begun,     ///< before a restart: goes on at once, and takes a permit if there is one
    rollback,  ///< back to an earlier revision
    under_way, ///< a task at work that has waited and is to work again
    deletion,
    deployment,
};

/// Tells how urgent a task is that waits in a queue.
constexpr urgency urgency_of(task_kind kind, task_status status, std::uint64_t rollback_to) noexcept
{
    return status != task_status::pending ? urgency::begun
           : kind == task_kind::remove    ? urgency::deletion
           : rollback_to != 0             ? urgency::rollback
                                          : urgency::deployment;
}

} // namespace rollout
