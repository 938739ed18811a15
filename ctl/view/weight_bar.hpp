// The traffic's weight as a bar, with the plan's weights marked on it.
#pragma once

#include "ctl/api/task_document.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <cstddef>
#include <vector>

namespace rollout::ctl {

/// Returns ` 5━━━25━━━━╸────────100`, at most `columns` wide. Empty if there is no room.
styled_line weight_bar(const std::vector<planned_weight> &plan, unsigned weight, std::size_t columns);

} // namespace rollout::ctl
