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
    const auto *link = link_of_process();
    if (link != nullptr && link->up() && !link->has_series()) {
        return send_problem(r, away("rolloutd is older than nginx's module and keeps no series; upgrade it."));
    }
    return ask_for_documents(request, on_series_answered, on_series, "the series",
                             [&](worker_link &to) { return to.series(request.call, request.route.name); });
}

} // namespace rollout
