// What the acceptance of tasks asks of the engine. Where no engine runs, there is nobody to ask.
#pragma once

#include "worker/domain/task.hpp"

#include <cstddef>
#include <string>

namespace rollout {

class engine_view {
  public:
    virtual ~engine_view() = default;

    /// Returns the id of the model's deployment that is running and not over; empty if there is none.
    virtual std::string running_deployment(const std::string &model_id) const = 0;

    /// Says what a new task of the model waits for; `behind`: the task ahead of it, empty if there is none.
    virtual wait_state turn_of_new(const std::string &model_id, const std::string &behind) const = 0;

    /// Returns the id of the model's last task that waits; empty if none does.
    virtual std::string last_waiting(const std::string &model_id) const = 0;

    /// Counts the tasks that wait.
    virtual std::size_t waiting() const = 0;
};

} // namespace rollout
