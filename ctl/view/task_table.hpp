// Tasks as a table, a line each.
#pragma once

#include "ctl/api/task_document.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <cstdint>
#include <vector>

namespace rollout::ctl {

/// The title and a line for each task, in their order: model, what it does, state, weight, age, who created it, its id. `now_us` is the
/// gateway's clock.
std::vector<styled_line> task_table(const std::vector<task_document> &tasks, std::int64_t now_us);

} // namespace rollout::ctl
