#include "worker/remote_verb.hpp"

#include "common/base/json.hpp"

#include <utility>

namespace rollout {

namespace {

std::string member(const json_t *of, const char *name)
{
    return std::string(json_text(of, name));
}


json_ptr read_object(std::string_view text)
{
    json_error_t ignored;
    json_ptr object = json_read(text, 0, ignored);
    return json_is_object(object.get()) ? std::move(object) : nullptr;
}


json_ptr object_of(const task_row &row)
{
    auto to = json_make_object();
    json_put(to.get(), "sequence", json_make_number(row.sequence));
    json_put(to.get(), "revision", json_make_number(row.revision));
    json_put(to.get(), "kind", kind_name(row.kind));
    json_put(to.get(), "status", status_name(row.status));
    json_put(to.get(), "task_id", row.task_id);
    json_put(to.get(), "model_id", row.model_id);
    json_put(to.get(), "document", row.document);
    return to;
}


std::optional<task_row> row_of(const json_t *from)
{
    const auto kind = kind_from(json_text(from, "kind"));
    const auto status = status_from(json_text(from, "status"));
    if (!kind || !status) {
        return std::nullopt;
    }
    return task_row{
        json_count(from, "sequence"), json_count(from, "revision"), *kind, *status, member(from, "task_id"),
        member(from, "model_id"),     member(from, "document")};
}

} // namespace


std::string text_of(const steer_request &wanted)
{
    const auto to = json_make_object();
    json_put(to.get(), "kind", kind_name(wanted.kind));
    json_put(to.get(), "task_id", wanted.task_id);
    json_put(to.get(), "verb", verb_name(wanted.verb));
    json_put(to.get(), "new_task_id", wanted.new_task_id);
    json_put(to.get(), "by", line_of(wanted.by));
    if (wanted.only_at) {
        json_put(to.get(), "only_at", json_make_array(*wanted.only_at));
    }
    return json_compact(to.get());
}


std::optional<steer_request> parse_remote_verb(std::string_view text)
{
    const json_ptr from = read_object(text);
    const auto kind = kind_from(json_text(from.get(), "kind"));
    const auto verb = task_verb_from(json_text(from.get(), "verb"));
    if (!kind || !verb) {
        return std::nullopt;
    }
    return steer_request{*kind,
                         member(from.get(), "task_id"),
                         *verb,
                         member(from.get(), "new_task_id"),
                         client_identity_from_line(json_text(from.get(), "by")),
                         json_counts(from.get(), "only_at")};
}


std::string text_of(const request_answer &answer)
{
    const auto to = json_make_object();
    if (answer.task != nullptr) {
        json_put(to.get(), "task", object_of(*answer.task));
        json_put(to.get(), "created", json_made(json_boolean(answer.created)));
        return json_compact(to.get());
    }
    auto errors = json_make_array();
    for (const auto &[pointer, detail] : answer.refused.errors) {
        auto error = json_make_object();
        json_put(error.get(), "pointer", pointer);
        json_put(error.get(), "detail", detail);
        json_add(errors.get(), std::move(error));
    }
    json_put(to.get(), "status", json_make_number(static_cast<std::uint64_t>(answer.refused.status)));
    json_put(to.get(), "detail", answer.refused.detail);
    json_put(to.get(), "errors", std::move(errors));
    json_put(to.get(), "retry_after_s", json_make_number(answer.refused.retry_after_s));
    return json_compact(to.get());
}


std::optional<remote_answer> parse_remote_answer(std::string_view text)
{
    const json_ptr from = read_object(text);
    remote_answer answer;
    if (const json_t *task = json_object_get(from.get(), "task")) {
        answer.row = row_of(task);
        answer.created = json_is_true(json_object_get(from.get(), "created"));
        return answer.row ? std::optional(std::move(answer)) : std::nullopt;
    }
    const auto status = json_number(from.get(), "status");
    if (status < 400 || status > 599) {
        return std::nullopt;
    }
    answer.refused.status = static_cast<int>(status);
    answer.refused.detail = member(from.get(), "detail");
    answer.refused.retry_after_s = static_cast<unsigned>(json_count(from.get(), "retry_after_s"));
    std::size_t at;
    const json_t *error;
    json_array_foreach(json_object_get(from.get(), "errors"), at, error)
    {
        answer.refused.errors.push_back({member(error, "pointer"), member(error, "detail")});
    }
    return answer;
}

} // namespace rollout
