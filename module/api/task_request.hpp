// The body of POST /deploy and POST /delete: parsed and checked before anything else sees it. No nginx here.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/task_status.hpp"
#include "module/api/problem.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace rollout {

/// What a client asks for. The names are checked; `config` is bounded in size and depth and has no NUL in a string.
struct task_request {
    task_kind kind = task_kind::deploy;
    std::string task_id; ///< the client's, or a new one
    std::string model_id;
    std::string parent_id; ///< empty: none
    std::string config;    ///< compact JSON, an object: a deployment's `config`, or a deletion's parameters
};

/// `idempotency_key` is the header's value, where the client sent one: the same thing as the member
/// `task_id`, which goes by the name `id` as well.
std::variant<task_request, problem> parse_task_request(task_kind kind, std::string_view body,
                                                       std::optional<std::string_view> idempotency_key);

} // namespace rollout
