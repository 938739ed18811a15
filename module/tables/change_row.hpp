// A changed task, or a changed route, as one short JSON object, for clients that follow many of them.
#pragma once

#include "common/domain/route.hpp"
#include "module/tables/task_table.hpp"

#include <string>

namespace rollout {

/// Returns what a list shows of a task: {"task_id", "model_id", "kind", "status", "step", "weight", "revision",
/// "detail", "updated_at"}. The detail is cut to 200 characters. What the document does not say is null.
std::string row_of(const task_record &task, dialect words);

/// Returns {"model_id", "part", "blue", "green", "weight"}. A slot is {"revision", "model", "upstream"} or null; both
/// are null if there is no such route any more.
std::string row_of(const route &of);

} // namespace rollout
