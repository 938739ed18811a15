#include "module/handlers/task_submit.hpp"

#include "module/api/task_request.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/client_identity_of.hpp"
#include "module/nginx/preferences.hpp"
#include "module/nginx/request_body.hpp"

#include <optional>
#include <string>
#include <variant>

namespace rollout {

namespace {

/// Returns why a submission was not confirmed, with advice for the client.
problem unconfirmed(const pending_request &request, link_result result)
{
    problem answer;
    const std::string id(view_of(request.task_id));
    const std::string kind(kind_name(request.route.kind));
    answer.task_id = id;
    if (result == link_result::full) {
        answer.status = 429;
        answer.retry_after_s = retry_after_s;
        answer.detail = "Too many tasks are being submitted at once; nothing was created. Try again later.";
        return answer;
    }
    answer.status = 500;
    const auto *link = link_of_process();
    const std::string look_up =
        "look the task up with GET /" + kind + "/" + id + ", or post again with the same task_id.";
    answer.detail =
        result == link_result::late ? "rolloutd did not confirm the task in time; it may exist: " + look_up
        : link != nullptr && link->denied()
            ? "nginx may not connect to rolloutd's socket, so the task could not be confirmed. nginx's error log "
              "says what "
              "to "
              "do (the socket's group, listen.allow_users); then " +
                  look_up
        : link != nullptr && !link->refusal().empty()
            ? "rolloutd does not serve this gateway, so the task could not be confirmed: " + link->refusal() +
                  ". When that is mended, " + look_up
            : "rolloutd cannot be reached, so the task could not be confirmed. Check that rolloutd runs, then " +
                  look_up;
    return answer;
}


ngx_int_t answer_unconfirmed(pending_request &request, link_result result)
{
    if (result != link_result::full) {
        log_unconfirmed(request,
                        "task " + std::string(view_of(request.task_id)) + " of model " +
                            std::string(view_of(request.model_id)),
                        result);
    }
    return send_problem(request.r, unconfirmed(request, result));
}


void on_submitted(link_call &call, link_result result, const task_record *task, const json_t *rejection)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    resume(request, [&] {
        switch (result) {
        case link_result::task:
            return answer_or_hold(request, *task);
        case link_result::rejected:
            return send_problem(request.r, rejection_of(rejection));
        default:
            return answer_unconfirmed(request, result);
        }
    });
}

} // namespace


ngx_int_t submit(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    std::string body;
    if (const auto fault = read_body(r, body); !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    const ngx_str_t key = find_header(r, "Idempotency-Key");
    auto parsed = parse_task_request(request.route.kind, body,
                                     key.data != nullptr ? std::optional(unquoted(view_of(key))) : std::nullopt);
    if (const auto *fault = std::get_if<problem>(&parsed)) {
        return send_problem(r, *fault);
    }

    const auto &wanted = std::get<task_request>(parsed);
    request.submitting = true;
    request.task_id = copy_to_pool(r->pool, wanted.task_id);
    request.model_id = copy_to_pool(r->pool, wanted.model_id);
    request.call.done = on_submitted;
    request.call.asker = &request;
    if (request.task_id.data == nullptr || request.model_id.data == nullptr || !suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    const auto begun =
        link != nullptr ? link->submit(request.call, wanted, client_identity_of(r)) : link_result::lost;
    return begun == link_result::task ? NGX_DONE : answer_unconfirmed(request, begun);
}

} // namespace rollout
