// Rows of the journal's tables as what they stand for: for whoever reads them.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <string>
#include <string_view>

namespace rollout {

/// For `row_of`.
inline std::string select(std::string_view rest)
{
    return "SELECT sequence, revision, kind, status, task_id, model_id, document FROM tasks " + std::string(rest);
}


inline task_row row_of(const sqlite_statement &at)
{
    task_row row;
    row.sequence = static_cast<std::uint64_t>(at.number(0));
    row.revision = static_cast<std::uint64_t>(at.number(1));
    row.kind = kind_from(at.text(2)).value_or(task_kind::deploy);
    row.status = status_from(at.text(3)).value_or(task_status::failed);
    row.task_id = at.text(4);
    row.model_id = at.text(5);
    row.document = at.text(6);
    return row;
}


/// For `model_at`.
inline std::string select_models(std::string_view rest)
{
    return "SELECT model_id, revision, state FROM models " + std::string(rest);
}


/// Throws sqlite_error where the entry cannot be read.
model model_at(const sqlite_statement &at);

} // namespace rollout
