#include "module/metrics_handler.hpp"

#include "common/frame.hpp"
#include "common/metrics_text.hpp"
#include "module/api_request.hpp"
#include "module/configuration.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <vector>

namespace rollout {

namespace {

using type = metrics_text::type;

/// In the place of a model's id, which begins with a letter or a digit.
constexpr std::string_view all_others = "_other";


std::string_view name_of(const meter_table::reading &of) noexcept
{
    return of.model_id.empty() ? all_others : std::string_view(of.model_id);
}


/// Every slot that has had a request.
template <class Visit>
void each_slot(const std::vector<meter_table::reading> &meters, Visit visit)
{
    for (const auto &one : meters) {
        for (const auto which : {slot::blue, slot::green}) {
            if (const auto &counted = one.slots[static_cast<std::size_t>(which)]; counted.any()) {
                visit(one, slot_name(which), counted);
            }
        }
    }
}


void add_routes(metrics_text &to, const shared_zone &zone)
{
    const auto meters = meter_table(zone.meters).read();
    to.family("rollout_route_requests_total", type::counter,
              "Requests that were sent to a model, by the slot that served them and the class of the status that the "
              "client got.");
    each_slot(meters, [&to](const auto &of, std::string_view which, const meter_table::slot_reading &counted) {
        static constexpr std::array<std::string_view, 5> classes = {"1xx", "2xx", "3xx", "4xx", "5xx"};
        for (std::size_t i = 0; i < classes.size(); ++i) {
            // A rate needs to see the zero before the first; of what inference has none, none is shown.
            const bool is_usual = i == 1 || i >= 3;
            if (is_usual || counted.by_class[i] != 0) {
                to.sample({{"model", name_of(of)}, {"part", of.part}, {"slot", which}, {"code_class", classes[i]}},
                          counted.by_class[i]);
            }
        }
    });

    std::array<double, meter_bounds_ms.size()> bounds;
    std::transform(meter_bounds_ms.begin(), meter_bounds_ms.end(), bounds.begin(),
                   [](std::uint32_t ms) { return ms / 1000.0; });
    to.family("rollout_route_duration_seconds", type::histogram,
              "What the upstreams of these requests took, all attempts together.");
    each_slot(meters, [&](const auto &of, std::string_view which, const meter_table::slot_reading &counted) {
        to.histogram({{"model", name_of(of)}, {"part", of.part}, {"slot", which}}, bounds, counted.buckets,
                     static_cast<double>(counted.sum_ms) / 1000);
    });
}


/// What this gateway knows by itself.
std::string own_metrics(const shared_zone &zone, bool linked)
{
    const record_store records(zone.records);
    metrics_text to;
    to.family("rollout_module_info", type::gauge, "The version of the nginx module.")
        .sample({{"version", ROLLOUT_VERSION}}, std::uint64_t{1});
    to.family("rollout_link_up", type::gauge, "1 where rolloutd is linked and has answered, else 0.")
        .sample(linked ? 1 : 0);

    to.family("rollout_tasks", type::gauge, "Tasks in the gateway's table.");
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        for (std::size_t i = 0; i < task_statuses; ++i) {
            const auto status = static_cast<task_status>(i);
            to.sample({{"kind", kind_name(kind)}, {"status", status_name(status)}},
                      zone.header->tasks.read(kind, status));
        }
    }
    to.family("rollout_table_complete", type::gauge,
              "1 where rolloutd has sent all of its tasks, and the gateway can say that there is no such task.")
        .sample(zone.tasks_brought() ? 1 : 0);
    to.family("rollout_table_revision", type::gauge, "The journal's revision that the table is filled up to.")
        .sample(zone.tasks_revision());
    to.family("rollout_table_evicted_tasks_total", type::counter,
              "Tasks that had to leave the table for want of room; rolloutd answers for them.")
        .sample(zone.evicted_tasks());
    to.family("rollout_table_size_bytes", type::gauge, "Memory for tasks and routes in the zone.")
        .sample(records.cells() * record_store::bytes_per_cell);
    to.family("rollout_table_used_bytes", type::gauge, "Memory that tasks and routes take of it.")
        .sample((records.cells() - records.free_cells()) * record_store::bytes_per_cell);
    to.family("rollout_table_repairs_total", type::counter,
              "Times that the table was made whole after a process was killed while it wrote.")
        .sample(zone.repairs());
    to.family("rollout_routes", type::gauge, "Routes in force: models, and parts of models, that requests reach.")
        .sample(records.count(record_map::routes));
    add_routes(to, zone);
    return to.take();
}


/// `from_worker`: rolloutd's own; empty where it was not heard.
ngx_int_t send_metrics(ngx_http_request_t *r, std::string_view from_worker, bool linked)
{
    return send_text(r, "text/plain; version=0.0.4; charset=utf-8",
                     {own_metrics(*main_of(r).zone, linked), from_worker});
}


void on_metered(link_call &call, link_result result, const task_record *, const json_t *message)
{
    auto &request = *static_cast<api_request *>(call.asker);
    resume(request, [&] {
        const bool heard = result == link_result::page;
        return send_metrics(request.r, heard ? json_text(message, "text") : std::string_view(), heard);
    });
}


ngx_int_t handle(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    auto *request = make_in_pool<api_request>(r->pool);
    if (request == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    request->r = r;
    request->call.done = on_metered;
    request->call.asker = request;
    if (!suspend(*request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    if (link == nullptr || link->question(request->call, message_of("metrics").get()) != link_result::task) {
        return send_metrics(r, {}, false);
    }
    ++r->main->count;
    return NGX_DONE;
}

} // namespace


ngx_int_t handle_metrics(ngx_http_request_t *r) noexcept
try {
    return handle(r);
} catch (const std::exception &error) {
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "rollout: %s", error.what());
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

} // namespace rollout
