#include "module/handlers/task_verb.hpp"

#include "common/domain/identifiers.hpp"
#include "module/api/etag_list.hpp"
#include "module/configuration.hpp"
#include "module/handlers/task_etag.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/client_identity_of.hpp"
#include "module/nginx/preferences.hpp"
#include "module/nginx/request_body.hpp"
#include "module/zone/shared_zone.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rollout {

namespace {

problem unusable(std::string detail)
{
    problem answer;
    answer.status = 422;
    answer.detail = std::move(detail);
    return answer;
}


ngx_int_t answer_unheard(const pending_request &request, link_result result)
{
    if (result == link_result::full) {
        return send_problem(request.r, away("Too many requests are waiting for rolloutd; try again."));
    }
    log_unconfirmed(
        request, std::string(verb_name(request.route.verb)) + " of task " + std::string(request.route.name), result);
    const bool late = result == link_result::late;
    const auto *link = link_of_process();
    if (!late && link != nullptr && link->denied()) {
        problem answer;
        answer.detail = "nginx may not connect to rolloutd's socket, so the task was not changed. nginx's error log "
                        "says what to do (the "
                        "socket's group, listen.allow_users); then try again.";
        return send_problem(request.r, answer);
    }
    problem answer;
    answer.status = 500;
    answer.detail =
        late ? "rolloutd did not confirm the request in time; read the task, and try again if it has not changed."
        : link != nullptr && !link->refusal().empty()
            ? "rolloutd does not serve this gateway, so the task was not changed: " + link->refusal() +
                  ". Try again when that is mended."
            : "rolloutd cannot be reached, so the task was not changed. Check that rolloutd runs, then try again.";
    return send_problem(request.r, answer);
}


void on_steered(link_call &call, link_result result, const task_record *task, const json_t *message)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    resume(request, [&] {
        switch (result) {
        case link_result::task:
            request.submitting = task->task_id != request.route.name; // a new task: retry, rollback
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


/// Returns the revisions at which If-Match lets the task be steered; nothing if it may be at any.
std::optional<std::vector<std::uint64_t>> allowed_revisions(ngx_http_request_t *r)
{
    if (condition_of(r, {}) != condition::failed) {
        return std::nullopt; // there is none, or `*`
    }
    std::vector<std::uint64_t> revisions;
    each_header(r, [&](std::string_view name, std::string_view value) {
        if (same_word(name, "If-Match")) {
            each_etag(value, [&](std::string_view etag, bool is_weak) {
                if (const auto revision = is_weak ? std::nullopt : revision_of(r, etag)) {
                    revisions.push_back(*revision);
                }
                return true;
            });
        }
        return true;
    });
    return revisions;
}


/// Returns a problem with a detail if the task is at none of these revisions, or that cannot be known. rolloutd compares
/// them too, as other clients steer the task meanwhile, and as the table may lack the task or its latest change.
problem check_revision(const pending_request &request, const std::vector<std::uint64_t> &only_at)
{
    ngx_http_request_t *r = request.r;
    shared_zone &zone = *main_of(r).zone;
    const bool known = zone.tasks_known(); // read before the search
    task_record task;
    const auto found = read_records(zone, [&](record_store &records) {
        return task_table(records).by_id(request.route.kind, request.route.name, pool_memory(r->pool), task);
    });
    const bool is_there = found == record_store::found::yes;
    const auto latest = std::ranges::max_element(only_at);
    if (is_there && (latest == only_at.end() || *latest < task.revision)) {
        problem answer;
        answer.status = NGX_HTTP_PRECONDITION_FAILED;
        answer.detail = task_has_changed;
        return answer;
    }
    const bool is_settled = is_there ? std::ranges::find(only_at, task.revision) != only_at.end() : known;
    const auto *link = link_of_process();
    if (!is_settled && (link == nullptr || !link->compares_revisions())) {
        return away("It is not known whether the task is as If-Match names it: rolloutd is down, or older than "
                    "nginx's module. Try again later.");
    }
    return {};
}

} // namespace


ngx_int_t steer(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    std::string body;
    if (const auto fault = read_body(r, body); !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    if (!is_empty_object(body)) {
        return send_problem(r, unusable("This request takes no body; send none, or {}."));
    }
    if (!is_task_id(request.route.name)) {
        return send_problem(r, not_found(request.route));
    }
    const auto only_at = allowed_revisions(r);
    if (const auto fault = only_at ? check_revision(request, *only_at) : problem{}; !fault.detail.empty()) {
        return send_problem(r, fault);
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
    const auto begun = link != nullptr ? link->steer(request.call, route.kind, route.name, route.verb, new_task_id,
                                                     only_at, client_identity_of(r))
                                       : link_result::lost;
    return begun == link_result::task ? NGX_DONE : answer_unheard(request, begun);
}

} // namespace rollout
