#include "worker/journal/journal.hpp"

namespace rollout {

std::optional<task> task_of(const task_row &row)
{
    json_error_t error;
    const json_ptr document = json_read(row.document, JSON_ALLOW_NUL, error);
    auto read = task_from_document(document.get());
    if (read) {
        read->sequence = row.sequence;
        read->revision = row.revision;
        read->kind = row.kind;
    }
    return read;
}


task_row row_of(const task &from, std::uint64_t revision)
{
    return {from.sequence, revision, from.kind, from.status, from.task_id, from.model_id, document_of(from)};
}


bool same_request(const task_row &row, const task_row &other)
{
    const auto a = task_of(row);
    const auto b = task_of(other);
    return a && b && a->kind == b->kind && a->model_id == b->model_id && a->parent_id == b->parent_id &&
           json_same(a->config.get(), b->config.get());
}

} // namespace rollout
