// Logs messages about a task, always with its identifiers, its kind and its step.
#pragma once

#include "worker/base/log.hpp"
#include "worker/domain/task.hpp"

#include <string_view>

namespace rollout {

void log_task(const task &of, log_level level, std::string_view message);

} // namespace rollout
