// A task from the journal, if its entry is usable.
#pragma once

#include "worker/journal/journal.hpp"

#include <optional>

namespace rollout {

/// Reads the task of a row; no value if the document cannot be read or belongs to another task.
inline std::optional<task> read_entry(const task_row &row)
{
    auto read = task_of(row);
    if (read && (read->task_id != row.task_id || read->model_id != row.model_id)) {
        return std::nullopt;
    }
    return read;
}

} // namespace rollout
