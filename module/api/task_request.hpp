// The body of POST /deploy and POST /delete: parsed and validated before any other code reads it. Independent of
// nginx.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/task_status.hpp"
#include "module/api/problem.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace rollout {

/// A client's request for a task. The names are valid; `config` is bounded in size and depth, and no string in it has
/// a NUL.
struct task_request {
    task_kind kind = task_kind::deploy;
    std::string task_id; ///< the client's, or a new one
    std::string model_id;
    std::string parent_id; ///< empty: none
    std::string config;    ///< compact JSON, an object: a deployment's `config`, or a deletion's parameters
};

/// `idempotency_key` is the header's value, if the client sent one. It means the same as the member `task_id`, which
/// may also be named `id`.
std::variant<task_request, problem> parse_task_request(task_kind kind, std::string_view body,
                                                       std::optional<std::string_view> idempotency_key);

} // namespace rollout
