// The gate's counts for blue and green, and how they compare with the limits.
#pragma once

#include "common/base/json.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <cstddef>
#include <vector>

namespace rollout::ctl {

/// Returns the lines for `metadata.gate`, for a screen of that width.
std::vector<styled_line> gate_lines(const json_t *gate, std::size_t columns);

} // namespace rollout::ctl
