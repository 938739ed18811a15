// Converts a task's line in a frame (task_line.hpp) to a record of the table.
#pragma once

#include "module/tables/task_table.hpp"

#include <optional>
#include <string_view>

namespace rollout {

/// Returns a record that points into the line, or nothing if the line is malformed or its document does not look like
/// one. Documents are rolloutd's and are not parsed here: a document is recognized by its first and last byte, and by
/// having its status where another dialect expects it.
std::optional<task_record> record_of(std::string_view line);

} // namespace rollout
