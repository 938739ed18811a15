#include "worker/journal/sqlite/rows.hpp"

#include <utility>

namespace rollout {

std::string select_tasks(std::string_view rest)
{
    return "SELECT sequence, revision, kind, status, task_id, model_id, document FROM tasks " + std::string(rest);
}


task_row task_row_at(const sqlite_statement &row)
{
    task_row read;
    read.sequence = static_cast<std::uint64_t>(row.number(0));
    read.revision = static_cast<std::uint64_t>(row.number(1));
    read.kind = kind_from(row.text(2)).value_or(task_kind::deploy);
    read.status = status_from(row.text(3)).value_or(task_status::failed);
    read.task_id = row.text(4);
    read.model_id = row.text(5);
    read.document = row.text(6);
    return read;
}


std::string select_models(std::string_view rest)
{
    return "SELECT model_id, revision, state FROM models " + std::string(rest);
}


model model_at(const sqlite_statement &row)
{
    const std::string text = row.text(2);
    json_error_t error;
    const json_ptr state = json_read(text, 0, error);
    auto read = model_from_json(state.get());
    if (!read) {
        throw sqlite_error("the journal's entry of model " + row.text(0) + " cannot be read: " +
                               (state ? "a weight, an upstream or a name in it is invalid" : error.text),
                           SQLITE_CORRUPT);
    }
    read->model_id = row.text(0);
    read->route_revision = static_cast<std::uint64_t>(row.number(1));
    return std::move(*read);
}

} // namespace rollout
