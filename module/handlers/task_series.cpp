#include "module/handlers/task_series.hpp"

#include "common/domain/identifiers.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"

namespace rollout {

namespace {

void on_series(link_call &call, std::string_view document, const task_record *)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    request.page->body.append(request.r->pool, document);
}


void on_series_answered(link_call &call, link_result result, const task_record *, const json_t *message)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    resume(request, [&] {
        if (result != link_result::page || json_is_true(json_object_get(message, "failed"))) {
            return send_problem(request.r, away("rolloutd did not answer with the series; try again."));
        }
        if (request.page->body.whole() && request.page->body.empty()) {
            return send_problem(request.r, not_found(request.route));
        }
        return send_long(request.r, "application/json", *request.page);
    });
}

} // namespace


ngx_int_t read_series(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    if (!is_task_id(request.route.name)) {
        return send_problem(r, not_found(request.route));
    }
    auto *link = link_of_process();
    if (link != nullptr && link->up() && !link->has_series()) {
        return send_problem(r, away("rolloutd is older than nginx's module and keeps no series; upgrade it."));
    }
    request.call.done = on_series_answered;
    request.call.document = on_series;
    request.call.asker = &request;
    request.page = make_in_pool<long_answer>(r->pool);
    if (request.page == nullptr || !suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    const auto asked = link == nullptr ? link_result::lost : link->series(request.call, request.route.name);
    if (asked != link_result::task) {
        return send_problem(r,
                            away(asked == link_result::full
                                     ? "Too many requests are waiting for rolloutd; try again."
                                     : "rolloutd is down, and only it has the series; try again when it is back."));
    }
    ++r->main->count;
    return NGX_DONE;
}

} // namespace rollout
