#include "module/link/record_of.hpp"

#include "common/link/task_line.hpp"

#include <string>

namespace rollout {

namespace {

bool has_document(const task_record &task)
{
    const auto position = task.status_at();
    return task.document.starts_with('{') && task.document.ends_with('}') && position != std::string_view::npos &&
           task.document.substr(position).starts_with(std::string(status_name(task.status)) + '"');
}

} // namespace


std::optional<task_record> record_of(std::string_view line)
{
    const auto read = read_task_line(line);
    if (!read) {
        return std::nullopt;
    }
    const task_record task = {read->kind,    read->status,   read->sequence, read->revision,
                              read->task_id, read->model_id, read->document};
    return has_document(task) ? std::optional(task) : std::nullopt;
}

} // namespace rollout
