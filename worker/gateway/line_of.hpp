// A task of the journal as a line of the link.
#pragma once

#include "common/link/task_line.hpp"
#include "worker/journal/journal.hpp"

namespace rollout {

/// Points into the row.
inline task_line line_of(const task_row &row) noexcept
{
    return {row.kind, row.sequence, row.revision, row.status, row.task_id, row.model_id, row.document};
}

} // namespace rollout
