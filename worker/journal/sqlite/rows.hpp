// Converts rows of the journal's tables to tasks and models.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <string>
#include <string_view>

namespace rollout {

/// Returns a query for the columns that `task_row_at` reads.
std::string select_tasks(std::string_view rest);

task_row task_row_at(const sqlite_statement &row);

/// Returns a query for the columns that `model_at` reads.
std::string select_models(std::string_view rest);

/// Throws sqlite_error if the entry cannot be read.
model model_at(const sqlite_statement &row);

} // namespace rollout
