#include "module/handlers/metrics_handler.hpp"

#include "common/base/metrics_text.hpp"
#include "module/configuration.hpp"
#include "module/handlers/pending_request.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/guard.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace rollout {

namespace {

using type = metrics_text::type;

/// Used in place of a model's id. An id begins with a letter or a digit, so the two cannot clash.
constexpr std::string_view all_others = "_other";


std::string_view name_of(const route_metrics::reading &of) noexcept
{
    return of.model_id.empty() ? all_others : std::string_view(of.model_id);
}


/// An answer in progress, in the request's pool.
struct metrics_answer {
    pending_request request;
    long_answer page;
    body_pieces from_worker; ///< rolloutd's own; empty if it did not answer
    bool is_linked = false;

    enum class stage : std::uint8_t { own, requests, durations } next = stage::own;
    std::size_t entry = 0; ///< the next entry of the meters
};


/// The most work in one turn of the event loop: a few hundred lines take about ten microseconds.
constexpr std::size_t meters_a_turn = 16;
constexpr std::size_t entries_a_turn = 256;


/// Visits every slot that has had a request, for a number of meters, from where the answer has got to. Returns false
/// when there are no more.
template <class Visit>
bool each_slot(metrics_answer &answer, const route_metrics &meters, Visit visit)
{
    const std::size_t entries = meters.entries();
    const std::size_t end = std::min(entries, answer.entry + entries_a_turn);
    for (std::size_t seen = 0; answer.entry < end && seen < meters_a_turn; ++answer.entry) {
        for (const auto &counters : meters.read(answer.entry, 1)) {
            ++seen;
            for (const auto which : {slot::blue, slot::green}) {
                if (const auto &counted = counters.slots[static_cast<std::size_t>(which)]; counted.any()) {
                    visit(counters, slot_name(which), counted);
                }
            }
        }
    }
    return answer.entry < entries;
}


constexpr std::string_view requests_family = "rollout_route_requests_total";
constexpr std::string_view durations_family = "rollout_route_duration_seconds";


bool add_requests(metrics_text &to, metrics_answer &answer, const route_metrics &meters)
{
    to.family(requests_family);
    return each_slot(answer, meters, [&to](const auto &of, std::string_view which, const auto &counted) {
        static constexpr std::array<std::string_view, 5> classes = {"1xx", "2xx", "3xx", "4xx", "5xx"};
        for (std::size_t i = 0; i < classes.size(); ++i) {
            // A rate needs to see the zero before the first request. Classes that inference never has are not shown.
            const bool is_usual = i == 1 || i >= 3;
            if (is_usual || counted.by_class[i] != 0) {
                to.sample({{"model", name_of(of)}, {"part", of.part}, {"slot", which}, {"code_class", classes[i]}},
                          counted.by_class[i]);
            }
        }
    });
}


bool add_durations(metrics_text &to, metrics_answer &answer, const route_metrics &meters)
{
    std::array<double, meter_bounds_ms.size()> bounds;
    std::transform(meter_bounds_ms.begin(), meter_bounds_ms.end(), bounds.begin(),
                   [](std::uint32_t ms) { return ms / 1000.0; });
    to.family(durations_family);
    return each_slot(answer, meters, [&](const auto &of, std::string_view which, const auto &counted) {
        to.histogram({{"model", name_of(of)}, {"part", of.part}, {"slot", which}}, bounds, counted.buckets,
                     static_cast<double>(counted.sum_ms) / 1000);
    });
}


/// Returns what this gateway knows by itself, except its routes.
metrics_text own_metrics(const shared_zone &zone, bool linked)
{
    const record_store records(zone.records);
    metrics_text to;
    to.family("rollout_module_info", type::gauge, "The version of the nginx module.")
        .sample({{"version", ROLLOUT_VERSION}}, std::uint64_t{1});
    to.family("rollout_link_up", type::gauge, "1 if rolloutd is connected and has answered, else 0.")
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
              "1 if the table holds all of rolloutd's tasks, so that the gateway itself can answer 404.")
        .sample(zone.tasks_brought() ? 1 : 0);
    to.family("rollout_table_revision", type::gauge, "The journal's revision that the table is filled up to.")
        .sample(zone.tasks_revision());
    to.family("rollout_table_evicted_tasks_total", type::counter,
              "Tasks evicted from the table because it was full; rolloutd answers for them.")
        .sample(zone.evicted_tasks());
    to.family("rollout_table_size_bytes", type::gauge, "Memory for tasks and routes in the zone.")
        .sample(records.cells() * record_store::bytes_per_cell);
    to.family("rollout_table_used_bytes", type::gauge, "Memory used by tasks and routes.")
        .sample((records.cells() - records.free_cells()) * record_store::bytes_per_cell);
    to.family("rollout_table_repairs_total", type::counter,
              "Repairs of the table after a process was killed while writing to it.")
        .sample(zone.repairs());
    to.family("rollout_routes", type::gauge, "Routes in force: models, and parts of models, that requests reach.")
        .sample(records.count(record_map::routes));
    return to;
}


/// Adds the next part of the text. Returns false when that was the last.
bool add_more(metrics_text &to, metrics_answer &answer)
{
    const auto &zone = *main_of(answer.request.r).zone;
    const route_metrics meters(zone.meters);
    using stage = metrics_answer::stage;
    const auto begin = [&](stage what) {
        answer.next = what;
        answer.entry = 0;
        return true;
    };
    switch (answer.next) {
    case stage::own:
        to = own_metrics(zone, answer.is_linked);
        to.family(requests_family, type::counter,
                  "Requests that were sent to a model, by the slot that served them and the class of the status that "
                  "the client got.");
        return begin(stage::requests);
    case stage::requests:
        if (!add_requests(to, answer, meters)) {
            to.family(durations_family, type::histogram,
                      "Upstream response time of these requests, over all attempts.");
            return begin(stage::durations);
        }
        return true;
    case stage::durations:
        return add_durations(to, answer, meters);
    }
    return false;
}


std::optional<ngx_int_t> on_turn(request_turns &turns)
{
    auto &answer = *static_cast<metrics_answer *>(turns.work);
    return guarded(turns.r->connection->log, std::optional<ngx_int_t>(NGX_HTTP_INTERNAL_SERVER_ERROR),
                   [&]() -> std::optional<ngx_int_t> {
                       metrics_text text;
                       const bool more = add_more(text, answer);
                       auto &page = answer.page;
                       page.body.append(turns.r->pool, text.take());
                       if (more && page.body.whole()) {
                           return std::nullopt;
                       }
                       page.body.append(answer.from_worker);
                       return send_long(turns.r, "text/plain; version=0.0.4; charset=utf-8", page);
                   });
}


/// For a request that is held.
ngx_int_t begin_answer(metrics_answer &answer) noexcept
{
    auto &request = answer.request;
    return begin_turns(answer.page.turns, request.r, &answer, on_turn) ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


void on_metered(link_call &call, link_result result, const task_record *, const json_t *message)
{
    auto &answer = *static_cast<metrics_answer *>(call.asker);
    resume(answer.request, [&] {
        answer.is_linked = result == link_result::page;
        if (answer.is_linked) {
            answer.from_worker.append(answer.request.r->pool, json_text(message, "text"));
        }
        return begin_answer(answer);
    });
}


ngx_int_t write_metrics(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    auto *answer = make_in_pool<metrics_answer>(r->pool);
    if (answer == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto &request = answer->request;
    request.r = r;
    request.call.done = on_metered;
    request.call.asker = answer;
    if (!suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    if (link == nullptr || link->metrics(request.call) != link_result::task) {
        if (const ngx_int_t rc = begin_answer(*answer); rc != NGX_DONE) {
            return rc;
        }
    }
    ++r->main->count;
    return NGX_DONE;
}

} // namespace


ngx_int_t handle_metrics(ngx_http_request_t *r) noexcept
{
    return guarded(r, [r] { return write_metrics(r); });
}

} // namespace rollout
