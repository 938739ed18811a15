// A task as the journal has it, if it can be worked with.
#pragma once

#include "worker/journal/journal.hpp"

#include <optional>

namespace rollout {

/// Reads the task of a row; nothing if the document cannot be read, or is another task's.
inline std::optional<task> read_entry(const task_row &row)
{
    auto read = task_of(row);
    if (read && (read->task_id != row.task_id || read->model_id != row.model_id)) {
        return std::nullopt;
    }
    return read;
}

} // namespace rollout
