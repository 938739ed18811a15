// What is logged of a task: always with its names, its kind and its step.
#pragma once

#include "worker/base/log.hpp"
#include "worker/domain/task.hpp"

#include <string_view>

namespace rollout {

void log_task(const task &of, log_level level, std::string_view message);

} // namespace rollout
