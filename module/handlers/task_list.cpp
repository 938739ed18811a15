// Lists of tasks and of models, and a client's word to a task: what rolloutd alone can answer.
#include "module/handlers/pending_request.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "common/link/frame.hpp"
#include "module/api/query.hpp"
#include "module/configuration.hpp"
#include "module/handlers/task_etag.hpp"
#include "module/link/process_link.hpp"
#include "module/nginx/preferences.hpp"
#include "module/nginx/request_body.hpp"
#include "module/nginx/requester_of.hpp"

#include <array>
#include <optional>
#include <span>

namespace rollout {

namespace {

problem unusable(std::string detail)
{
    problem answer;
    answer.status = 422;
    answer.detail = std::move(detail);
    return answer;
}


/// Fills the frame from the query. A problem with a detail where an argument cannot be used.
problem fill_from_query(ngx_http_request_t *r, const api_route &route, json_t *message)
{
    constexpr std::array<std::string_view, 4> known = {"limit", "page_token", "model_id", "status"};
    const bool models = route.is == api_route::shape::models;
    const auto query = read_query(view_of(r->args));
    if (auto fault = check_query(query, std::span(known).first(models ? 2 : known.size())); !fault.detail.empty()) {
        return fault;
    }
    unsigned limit = limits::page_default;
    if (const auto given = find_argument(query, "limit")) {
        if (!read_number(*given, limit) || limit < 1 || limit > limits::page_most) {
            return unusable_argument("limit",
                                     "must be a whole number from 1 to " + std::to_string(limits::page_most));
        }
    }
    json_put(message, "limit", json_make_number(limit));

    static constexpr char token_rule[] = "must be the next_page_token of the page before";
    const auto token = find_argument(query, "page_token");
    if (models) {
        if (token && !is_model_id(*token)) {
            return unusable_argument("page_token", token_rule);
        }
        json_put(message, "after", token.value_or(std::string_view()));
        return {};
    }

    json_put(message, "kind", kind_name(route.kind));
    if (token) {
        std::uint64_t before = 0;
        if (!read_number(*token, before) || before == 0 || before > INT64_MAX) {
            return unusable_argument("page_token", token_rule);
        }
        json_put(message, "before", json_make_number(before));
    }
    if (const auto model = find_argument(query, "model_id")) {
        if (!is_model_id(*model)) {
            return unusable_argument("model_id", "must be a model's id");
        }
        json_put(message, "model_id", *model);
    }
    if (const auto given = find_argument(query, "status")) {
        const auto words = location_of(r).words;
        const auto status = status_from(*given, words);
        if (!status) {
            return unusable_argument("status", "must be one of pending, " +
                                                   std::string(status_name(task_status::in_progress, words)) + ", " +
                                                   std::string(status_name(task_status::completed, words)) +
                                                   ", failed, refused and canceled");
        }
        json_put(message, "status", status_name(*status));
    }
    return {};
}


bool is_of_models(const api_request &request) noexcept
{
    return request.route.is == api_route::shape::models;
}


/// What the page begins with, before its documents.
std::string_view page_opening(const api_request &request) noexcept
{
    return is_of_models(request) ? R"({"models":[)" : R"({"tasks":[)";
}


/// A document of the page, as the client reads it.
void add_document(api_request &request, std::string_view document, const task_record *task) noexcept
{
    const auto add = [&request](std::string_view text) { request.page->body.append(request.r->pool, text); };
    add(request.page->body.empty() ? page_opening(request) : ",");
    const auto words = location_of(request.r).words;
    if (task == nullptr || words == dialect::standard) {
        add(document);
        return;
    }
    const auto at = task->status_at();
    add(document.substr(0, at));
    add(status_name(task->status, words));
    add(document.substr(at + status_name(task->status).size()));
}


void on_document(link_call &call, std::string_view document, const task_record *task)
{
    add_document(*static_cast<api_request *>(call.asker), document, task);
}


/// The documents in the frame itself: of a rolloutd that sends them so. False when it has no page.
bool add_members(api_request &request, const json_t *message)
{
    const json_t *all = json_object_get(message, is_of_models(request) ? "models" : "tasks");
    const auto words = is_of_models(request) ? dialect::standard : location_of(request.r).words;
    for (std::size_t i = 0; i < json_array_size(all); ++i) {
        json_t *document = json_array_get(all, i);
        const auto status = status_from(json_text(document, "status"));
        if (words != dialect::standard && status) {
            json_put(document, "status", status_name(*status, words));
        }
        add_document(request, json_compact(document), nullptr);
    }
    return all == nullptr || json_is_array(all);
}


/// Behind the documents.
void end_page(api_request &request, const json_t *message)
{
    const json_t *next = json_object_get(message, "next");
    const json_ptr token = json_is_integer(next)  ? json_make(std::to_string(json_integer_value(next)))
                           : json_is_string(next) ? json_make(json_text(next))
                                                  : json_ptr(json_null());
    auto &body = request.page->body;
    if (body.empty()) {
        body.append(request.r->pool, page_opening(request));
    }
    body.append(request.r->pool, R"(],"next_page_token":)" + json_compact(token.get()) + "}");
}


void on_page(link_call &call, link_result result, const task_record *, const json_t *message)
{
    auto &request = *static_cast<api_request *>(call.asker);
    resume(request, [&] {
        if (result != link_result::page || !add_members(request, message)) {
            return send_problem(request.r, away("rolloutd did not answer with the list; ask again."));
        }
        end_page(request, message);
        return send_long(request.r, "application/json", *request.page);
    });
}


ngx_int_t answer_unheard(const api_request &request, link_result result)
{
    if (result == link_result::full) {
        return send_problem(request.r, away("Too many requests wait for rolloutd; ask again."));
    }
    log_unconfirmed(request,
                    std::string(steering_name(request.route.verb)) + " of task " + std::string(request.route.name),
                    result);
    const bool late = result == link_result::late;
    const auto *link = link_of_process();
    if (!late && link != nullptr && link->denied()) {
        problem answer;
        answer.detail = "rolloutd's socket is closed to nginx, so that the task was not steered. nginx's error log "
                        "says what to do (the "
                        "socket's group, listen.allow_users); then ask again.";
        return send_problem(request.r, answer);
    }
    problem answer;
    answer.status = 500;
    answer.detail = late
                        ? "rolloutd did not answer in time whether the task took it; look at the task, and ask again."
                        : "rolloutd cannot be reached, so that the task was not steered. Check that rolloutd runs, "
                          "then ask again.";
    return send_problem(request.r, answer);
}


void on_steered(link_call &call, link_result result, const task_record *task, const json_t *message)
{
    auto &request = *static_cast<api_request *>(call.asker);
    resume(request, [&] {
        switch (result) {
        case link_result::task:
            request.submitting = task->task_id != request.route.name; // a new one: retry, rollback
            return answer_or_hold(request, *task);
        case link_result::rejected:
            return send_problem(request.r, rejection_of(message));
        default:
            return answer_unheard(request, result);
        }
    });
}


bool is_empty_object(const std::string &body)
{
    if (body.find_first_not_of(" \t\r\n") == std::string::npos) {
        return true;
    }
    json_error_t error;
    const json_ptr parsed = json_read(body, 0, error);
    return json_is_object(parsed.get()) && json_object_size(parsed.get()) == 0;
}

/// Does If-Match name the task as it is? Of one that is not there something else is to be said.
bool is_as_the_client_has_it(const api_request &request)
{
    ngx_http_request_t *r = request.r;
    if (find_header(r, "If-Match").data == nullptr) {
        return true;
    }
    shared_zone &zone = *main_of(r).zone;
    const bool known = zone.tasks_known();
    task_record task;
    const auto found = read_records(zone, [&](record_store &records) {
        const auto allocate = [r](std::size_t size) {
            return static_cast<unsigned char *>(ngx_pnalloc(r->pool, size));
        };
        return task_table(records).by_id(request.route.kind, request.route.name, allocate, task);
    });
    if (found != record_store::found::yes) {
        return known || condition_of(r, {}) != condition::failed;
    }
    return condition_of(r, etag_of(r, task).view()) != condition::failed;
}

} // namespace


ngx_int_t list(api_request &request)
{
    ngx_http_request_t *r = request.r;
    json_ptr message = message_of(is_of_models(request) ? gateway_frame::models : gateway_frame::list);
    if (const auto fault = fill_from_query(r, request.route, message.get()); !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    json_put(message.get(), "in_lines", json_ptr(json_true()));
    request.call.done = on_page;
    request.call.document = on_document;
    request.call.asker = &request;
    request.page = make_in_pool<long_answer>(r->pool);
    if (request.page == nullptr || !suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    const auto begun = link != nullptr ? link->question(request.call, message.get()) : link_result::lost;
    if (begun != link_result::task) {
        return send_problem(r, away(begun == link_result::full
                                        ? "Too many requests wait for rolloutd; ask again."
                                        : "rolloutd is away, and it alone has the list; ask again when it is back."));
    }
    ++r->main->count;
    return NGX_DONE;
}


ngx_int_t steer(api_request &request)
{
    ngx_http_request_t *r = request.r;
    std::string body;
    if (const auto fault = read_body(r, body); !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    if (!is_empty_object(body)) {
        return send_problem(r, unusable("To steer a task takes no members: leave the body empty, or send {}."));
    }
    if (!is_task_id(request.route.name)) {
        return send_problem(r, not_found(request.route));
    }
    if (!is_as_the_client_has_it(request)) {
        problem answer;
        answer.status = NGX_HTTP_PRECONDITION_FAILED;
        answer.detail = "The task is not as If-Match names it any more; read it again.";
        return send_problem(r, answer);
    }
    const auto &route = request.route;
    const ngx_str_t key = find_header(r, "Idempotency-Key");
    const bool names_the_new = key.data != nullptr && makes_a_task(route.verb);
    const auto new_task_id = names_the_new ? unquoted(view_of(key)) : std::string_view();
    if (names_the_new && !is_task_id(new_task_id)) {
        return send_problem(
            r, unusable("The header Idempotency-Key must be 1 to 64 characters A-Z a-z 0-9 _ -: it is the "
                        "new task's id."));
    }
    request.call.done = on_steered;
    request.call.asker = &request;
    if (!suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    const auto begun =
        link != nullptr ? link->steer(request.call, route.kind, route.name, route.verb, new_task_id, requester_of(r))
                        : link_result::lost;
    return begun == link_result::task ? NGX_DONE : answer_unheard(request, begun);
}

} // namespace rollout
