#include "ctl/api/gateway.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/domain/task_verb.hpp"
#include "ctl/api/problem_text.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace rollout::ctl {

namespace {

using namespace std::chrono_literals;

/// How often a request is repeated, with growing pauses, if its answer was lost or its failure may pass: for some fifteen
/// seconds.
constexpr unsigned most_attempts = 6;
constexpr auto first_repeat_pause = 500ms;
constexpr unsigned longest_retry_after_s = 10;

constexpr unsigned most_pages = 1000;

/// The length of the list that is searched for one model: it is the first entry, except for ids whose last character
/// follows a dot.
constexpr unsigned models_to_look_at = 8;


/// Escapes a value for a query: ids need no escaping, but what a person has typed may.
std::string escaped(std::string_view text)
{
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string to;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        if (plain) {
            to += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            to += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return to;
}


std::string path_of(task_kind kind, std::string_view rest)
{
    return '/' + std::string(kind_name(kind)) + std::string(rest);
}

} // namespace


std::string new_key()
{
    return new_task_id();
}


std::string id_before(const std::string &model_id)
{
    static constexpr std::string_view order = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    std::string below = model_id.substr(0, model_id.size() - 1);
    const auto place = order.find(model_id.back());
    if (place != 0 && place != std::string_view::npos) {
        std::string next = below + order[place - 1];
        next.resize(limits::model_id_bytes, order.back());
        if (is_model_id(next)) {
            return next;
        }
    }
    return below;
}


http_answer gateway::send(http_request request)
{
    const auto exchange = client_.perform(std::move(request));
    if (!exchange->fault().empty()) {
        throw command_error(exit_code::unreachable, exchange->fault());
    }
    return exchange->answer();
}


void gateway::require_success(const http_answer &answer) const
{
    if (answer.status < 200 || answer.status > 299) {
        throw error_of(answer, client_.where());
    }
}


json_ptr gateway::object_of(const http_answer &answer) const
{
    require_success(answer);
    json_error_t error;
    json_ptr object = is_json(answer) ? json_read(answer.body, 0, error) : nullptr;
    if (!json_is_object(object.get())) {
        throw command_error(exit_code::unreachable,
                            client_.where().url + " does not answer as a Rollout gateway does. Check --url.");
    }
    return object;
}


json_ptr gateway::get_json(const std::string &path)
{
    return object_of(send({.path = path}));
}


std::optional<task_document> gateway::find(task_kind kind, const std::string &path)
{
    http_answer answer = send({.path = path});
    if (answer.status == 404 && answer.content_type == "application/problem+json") {
        return std::nullopt;
    }
    return task_of(kind, std::move(answer));
}


task_document gateway::task_of(task_kind kind, http_answer answer) const
{
    require_success(answer);
    auto read = is_json(answer) ? read_task_document(kind, std::move(answer.body)) : std::nullopt;
    if (!read) {
        throw command_error(exit_code::unreachable,
                            client_.where().url + " does not answer with a task's document as a Rollout gateway "
                                                  "does. Check --url.");
    }
    return std::move(*read);
}


std::optional<task_document> gateway::find_task(task_kind kind, std::string_view task_id)
{
    return find(kind, path_of(kind, '/' + escaped(task_id)));
}


std::optional<task_document> gateway::find_latest(task_kind kind, std::string_view model_id)
{
    return find(kind, path_of(kind, "-status/" + escaped(model_id)));
}


/// A location with another dialect does not know the standard status names: repeats the request with its own names then.
http_answer gateway::send_list(const std::string &path, std::optional<task_status> status)
{
    if (!status) {
        return send({.path = path});
    }
    http_answer answer = send({.path = path + "&status=" + std::string(status_name(*status))});
    const auto other = status_name(*status, dialect::embedding_studio);
    return answer.status == 422 && other != status_name(*status)
               ? send({.path = path + "&status=" + std::string(other)})
               : answer;
}


std::vector<task_document> gateway::list_tasks(task_kind kind, std::string_view model_id,
                                               std::optional<task_status> status, unsigned limit)
{
    std::string query = "?limit=" + std::to_string(limit);
    if (!model_id.empty()) {
        query += "&model_id=" + escaped(model_id);
    }
    const json_ptr page = object_of(send_list(path_of(kind, query), status));
    std::vector<task_document> tasks;
    const json_t *list = json_object_get(page.get(), "tasks");
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        if (auto task = read_task_document(kind, json_compact(json_array_get(list, i)))) {
            tasks.push_back(std::move(*task));
        }
    }
    return tasks;
}


std::vector<json_ptr> gateway::list_models()
{
    std::vector<json_ptr> models;
    std::string token;
    for (unsigned pages = 0; pages < most_pages; ++pages) {
        const json_ptr page = get_json("/models?limit=" + std::to_string(limits::page_most) +
                                       (token.empty() ? "" : "&page_token=" + escaped(token)));
        const json_t *list = json_object_get(page.get(), "models");
        for (std::size_t i = 0; i < json_array_size(list); ++i) {
            models.push_back(json_share(json_array_get(list, i)));
        }
        token = json_text(page.get(), "next_page_token");
        if (token.empty()) {
            return models;
        }
    }
    throw command_error(exit_code::unreachable, "The list of models at " + client_.where().url +
                                                    " has more than a million entries. Check --url.");
}


json_ptr gateway::find_model(const std::string &model_id)
{
    const std::string before = is_model_id(model_id) ? id_before(model_id) : "";
    const json_ptr page = get_json("/models?limit=" + std::to_string(models_to_look_at) +
                                   (before.empty() ? "" : "&page_token=" + escaped(before)));
    const json_t *list = json_object_get(page.get(), "models");
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        json_t *model = json_array_get(list, i);
        if (json_text(model, "model_id") == model_id) {
            return json_share(model);
        }
    }
    return nullptr;
}


http_answer gateway::ask(const http_request &request, const std::string &key, bool may_repeat)
{
    auto pause = std::chrono::milliseconds(first_repeat_pause);
    for (unsigned attempt = 1;; ++attempt) {
        const auto exchange = client_.perform(request);
        const bool lost = !exchange->fault().empty();
        const bool is_last = attempt >= most_attempts || !may_repeat;
        if (!lost && !(may_pass(exchange->answer()) && !is_last)) {
            return exchange->answer();
        }
        if (lost && is_last) {
            const std::string hint =
                !exchange->may_have_arrived() ? ""
                : may_repeat
                    ? " It is not known whether the request took effect; repeat it with --id " + key + "."
                    : " It is not known whether the request took effect; look at the task with rolloutctl status.";
            throw command_error(exit_code::unreachable, exchange->fault() + hint);
        }
        if (lost && !exchange->may_have_arrived() && attempt >= 2) {
            throw command_error(exit_code::unreachable, exchange->fault());
        }
        const auto wanted = std::chrono::seconds(std::min(exchange->answer().retry_after_s, longest_retry_after_s));
        std::this_thread::sleep_for(std::max<std::chrono::milliseconds>(pause, wanted));
        pause *= 2;
    }
}


task_document gateway::post_task(task_kind kind, const json_t *body, const std::string &key)
{
    return task_of(kind, ask({.method = "POST",
                              .path = path_of(kind, ""),
                              .headers = {"Content-Type: application/json", "Idempotency-Key: " + key},
                              .body = json_compact(body)},
                             key, true));
}


task_document gateway::post_verb(task_kind kind, const std::string &task_id, std::string_view verb,
                                 const std::string &key)
{
    const auto known = task_verb_from(verb);
    return task_of(kind, ask({.method = "POST",
                              .path = path_of(kind, '/' + escaped(task_id) + '/' + std::string(verb)),
                              .headers = {"Content-Type: application/json", "Idempotency-Key: " + key},
                              .body = "{}"},
                             key, known && makes_a_task(*known)));
}

} // namespace rollout::ctl
