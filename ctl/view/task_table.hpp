// Tasks as a table, one per line.
#pragma once

#include "ctl/api/task_document.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <cstdint>
#include <vector>

namespace rollout::ctl {

/// Returns the titles and a line for each task, in the given order: model, action, state, weight, age, creator, id.
/// `now_us` is by the gateway's clock.
std::vector<styled_line> task_table(const std::vector<task_document> &tasks, std::int64_t now_us);

} // namespace rollout::ctl
