// A task of the journal as a line of the link protocol.
#pragma once

#include "common/link/task_line.hpp"
#include "worker/journal/journal.hpp"

namespace rollout {

/// Returns a line that points into the row.
inline task_line line_of(const task_row &row) noexcept
{
    return {row.kind, row.sequence, row.revision, row.status, row.task_id, row.model_id, row.document};
}

} // namespace rollout
