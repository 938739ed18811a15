#include "common/domain/task_status.hpp"

namespace rollout {

std::string_view kind_name(task_kind kind) noexcept
{
    return kind == task_kind::deploy ? "deploy" : "delete";
}


std::optional<task_kind> kind_from(std::string_view name) noexcept
{
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        if (name == kind_name(kind)) {
            return kind;
        }
    }
    return std::nullopt;
}


std::string_view status_name(task_status status, dialect words) noexcept
{
    switch (status) {
    case task_status::pending:
        return "pending";
    case task_status::in_progress:
        return words == dialect::standard ? "in_progress" : "processing";
    case task_status::completed:
        return words == dialect::standard ? "completed" : "done";
    case task_status::failed:
        return "failed";
    case task_status::refused:
        return "refused";
    case task_status::canceled:
        return "canceled";
    }
    return "failed";
}


std::optional<task_status> status_from(std::string_view name, dialect words) noexcept
{
    for (const auto status : {task_status::pending, task_status::in_progress, task_status::completed,
                              task_status::failed, task_status::refused, task_status::canceled}) {
        if (name == status_name(status, words)) {
            return status;
        }
    }
    return std::nullopt;
}

} // namespace rollout
