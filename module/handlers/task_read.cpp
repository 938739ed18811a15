#include "module/handlers/task_read.hpp"

#include "common/domain/identifiers.hpp"
#include "module/configuration.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/zone/shared_zone.hpp"

#include <string_view>

namespace rollout {

namespace {

void on_looked_up(link_call &call, link_result result, const task_record *task, const json_t *)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    resume(request, [&] {
        switch (result) {
        case link_result::task:
            return request.found(request, *task);
        case link_result::none:
            return send_problem(request.r, not_found(request.route));
        default:
            return send_problem(request.r, away("rolloutd did not answer whether this task exists; try again."));
        }
    });
}


/// Asks rolloutd for a task that is not in an incomplete table.
ngx_int_t ask_worker(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    const bool by_id = request.route.is != api_route::shape::latest;
    request.call.done = on_looked_up;
    request.call.asker = &request;
    if (!suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    auto *link = link_of_process();
    const auto begun = link == nullptr ? link_result::lost
                                       : link->lookup(request.call, request.route.kind,
                                                      by_id ? request.route.name : std::string_view(),
                                                      by_id ? std::string_view() : request.route.name);
    if (begun != link_result::task) {
        return send_problem(r, away(begun == link_result::full
                                        ? "Too many lookups are in progress; try again."
                                        : "It is not known whether this task exists: rolloutd is down and the "
                                          "gateway does not hold all tasks. Try again when it is back."));
    }
    ++r->main->count;
    return NGX_DONE;
}

} // namespace


ngx_int_t read_task(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    const auto &route = request.route;
    const bool by_id = route.is != api_route::shape::latest;
    if (!(by_id ? is_task_id(route.name) : is_model_id(route.name))) {
        return send_problem(r, not_found(route));
    }

    shared_zone &zone = *main_of(r).zone;
    const bool known = zone.tasks_known(); // read before the search, which finds a task that arrives in between
    if (!by_id && !zone.tasks_filled()) {
        // A newer one may be on its way. If rolloutd is down, the known one is the answer.
        if (const auto *link = link_of_process(); link != nullptr && link->up()) {
            return ask_worker(request);
        }
    }
    task_record task;
    const auto found = read_records(zone, [&](record_store &records) {
        const auto allocate = [&request](std::size_t size) { return request.memory.take(request.r->pool, size); };
        const task_table table(records);
        return by_id ? table.by_id(route.kind, route.name, allocate, task)
                     : table.latest(route.kind, route.name, allocate, task);
    });
    if (found == record_store::found::busy) {
        return send_problem(r, away("The gateway's table is being repaired; try again."));
    }
    if (found == record_store::found::failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (found == record_store::found::no) {
        // Read again after the search: if a task was evicted in between, its absence proves nothing.
        return known && zone.tasks_known() ? send_problem(r, not_found(route)) : ask_worker(request);
    }
    const ngx_int_t rc = request.found(request, task);
    if (rc == NGX_DONE) {
        ++r->main->count;
    }
    return rc;
}

} // namespace rollout
