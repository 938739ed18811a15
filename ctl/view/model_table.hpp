// Models as a table, a line each.
#pragma once

#include "common/base/json.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <string>
#include <vector>

namespace rollout::ctl {

/// The title and a line for each document of `GET /models`: those with a problem first, then those under way, then by name.
std::vector<styled_line> model_table(const std::vector<json_ptr> &models);

} // namespace rollout::ctl
