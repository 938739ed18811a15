// Models as a table, one per line.
#pragma once

#include "common/base/json.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <string>
#include <vector>

namespace rollout::ctl {

/// Returns the titles and a line for each document of `GET /models`: models with a problem first, then those under way,
/// then by name.
std::vector<styled_line> model_table(const std::vector<json_ptr> &models);

} // namespace rollout::ctl
