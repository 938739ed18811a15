// A task's line of a frame (task_line.hpp), as the table takes it.
#pragma once

#include "module/tables/task_table.hpp"

#include <optional>
#include <string_view>

namespace rollout {

/// The record points into the line. Nothing if the line is none, or its document does not look like one: documents are rolloutd's, and
/// not parsed here; one is known by its ends, and by its status where an answer in another dialect looks for it.
std::optional<task_record> record_of(std::string_view line);

} // namespace rollout
