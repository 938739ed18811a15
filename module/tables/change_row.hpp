// What has changed of a task, a route, or a route's counters, as one short JSON object, for clients that follow many.
#pragma once

#include "common/domain/route.hpp"
#include "module/tables/route_metrics.hpp"
#include "module/tables/task_table.hpp"

#include <string>

namespace rollout {

/// Returns what a list shows of a task: {"task_id", "model_id", "kind", "status", "step", "weight", "revision",
/// "detail", "updated_at"}. The detail is cut to 200 characters. What the document does not say is null.
std::string row_of(const task_record &task, dialect words);

/// Returns {"model_id", "part", "blue", "green", "weight"}. A slot is {"revision", "model", "upstream"} or null; both
/// are null if there is no such route any more.
std::string row_of(const route &of);

/// Returns {"model_id", "part", "blue", "green"}. A slot is {"requests", "failed", "client_errors", "sum_ms", "buckets"}
/// since the route was put in force, or null if it has had no request; `failed` are answers of 5xx, `client_errors` of
/// 4xx, and `buckets` the requests up to each of `meter_bounds_ms`, and those above.
std::string row_of(const route_metrics::reading &of);

} // namespace rollout
