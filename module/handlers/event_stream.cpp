#include "module/handlers/event_stream.hpp"

#include "common/domain/identifiers.hpp"
#include "module/api/query.hpp"
#include "module/configuration.hpp"
#include "module/handlers/event_hub.hpp"
#include "module/handlers/task_read.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/guard.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rollout {

namespace {

/// How long a stream lasts, and by how much that varies, so that streams that began together do not end together.
constexpr ngx_msec_t lifetime_ms = 3600 * 1000;
constexpr ngx_msec_t lifetime_spread_ms = lifetime_ms / 5;

/// How long a client waits before it connects again.
constexpr char first_line[] = "retry: 1000\n";


void on_end_of_stream(void *data)
{
    auto &stream = *static_cast<event_stream *>(data);
    event_hub::of_process().remove(stream);
    if (auto *link = link_of_process()) {
        link->end_stream();
    }
}


/// Takes a place among the clients that wait, until the request ends. Returns `full` if there is none.
link_result take_place(event_stream &stream) noexcept
{
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(stream.r, 0);
    auto *link = link_of_process();
    if (cleanup == nullptr || link == nullptr) {
        return link_result::lost;
    }
    if (!link->begin_stream()) {
        return link_result::full;
    }
    cleanup->handler = on_end_of_stream;
    cleanup->data = &stream;
    return link_result::task;
}


/// Sends the headers and the first events: a ping, then what the client has missed, or all of it as it is now. `task`
/// is null for a stream of all tasks. Returns NGX_DONE if the stream continues.
ngx_int_t begin_stream(pending_request &request, const task_record *task)
{
    auto &stream = *request.stream;
    ngx_http_request_t *r = request.r;
    if (r->method != NGX_HTTP_HEAD) {
        switch (take_place(stream)) {
        case link_result::task:
            break;
        case link_result::full:
            return send_problem(r, away("Too many clients are waiting already (max_waiting of rollout_worker); try "
                                        "again later, or read without following events."));
        default:
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    if (task != nullptr && request.suspended) {
        // rolloutd has answered, as the table lacks the task: what the client has missed is not in the table either.
        stream.is_resumed = false;
        stream.cursor = stream.head_at_request;
    }
    if (!suspend(request) || !stream.output.begin(r, &stream, event_hub::on_drained)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (task != nullptr && stream.has_samples) {
        const ngx_str_t copy = copy_to_pool(r->pool, task->model_id);
        if (copy.data == nullptr) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        stream.sample_model = view_of(copy);
    }
    auto &hub = event_hub::of_process(*main_of(r).zone);
    std::string beginning = first_line + hub.ping_text(stream.cursor);
    if (stream.is_lost) {
        beginning += hub.reset_text(stream.cursor);
    }
    const bool ends = task != nullptr && is_final(task->status);
    if (task != nullptr && (!stream.is_resumed || ends)) {
        beginning += hub.task_text(*task, stream, stream.cursor);
    }
    if (ends) {
        beginning += hub.end_text(*task, stream, stream.cursor);
    }
    auto text = std::make_shared<const std::string>(std::move(beginning));
    // Nothing from here on throws: once the headers are sent, there is no other answer.
    if (const auto end = begin_events(r)) {
        return *end;
    }
    stream.output.add(std::move(text));
    if (ends) {
        return stream.output.send(true);
    }
    stream.output.take_events();
    if (stream.output.send(false) == NGX_ERROR) {
        return NGX_ERROR;
    }
    stream.ends_at = ngx_current_msec + lifetime_ms - lifetime_spread_ms / 2 +
                     static_cast<ngx_msec_t>(ngx_random()) % lifetime_spread_ms;
    hub.add(stream);
    return NGX_DONE;
}


ngx_int_t on_found(pending_request &request, const task_record &task) noexcept
{
    return guarded(request.r, [&] { return begin_stream(request, &task); });
}


/// Reads what the client wants. Returns a problem with a detail if an argument cannot be used.
problem read_arguments(const pending_request &request, const std::vector<query_argument> &query, event_stream &stream)
{
    static constexpr std::array<std::string_view, 2> of_task = {"after", "samples"};
    static constexpr std::array<std::string_view, 3> of_all = {"after", "samples", "model_id"};
    const bool is_of_task = request.route.is == api_route::shape::task_events;
    if (auto fault = is_of_task ? check_query(query, of_task) : check_query(query, of_all); !fault.detail.empty()) {
        return fault;
    }
    if (const auto samples = find_argument(query, "samples")) {
        if (*samples != "0" && *samples != "1") {
            return unusable_argument("samples", "must be 0 or 1");
        }
        stream.has_samples = *samples == "1";
    }
    if (const auto model_id = find_argument(query, "model_id")) {
        if (!is_model_id(*model_id)) {
            return unusable_argument("model_id", "must be a model's id");
        }
        const ngx_str_t copy = copy_to_pool(request.r->pool, *model_id);
        if (copy.data == nullptr) {
            throw std::bad_alloc();
        }
        stream.model_id = stream.sample_model = view_of(copy);
    }
    return {};
}


/// Sets where the stream begins: after the event that the client names, if the ring still has the next ones, else now.
void find_beginning(event_stream &stream, const shared_zone &zone, event_hub &hub,
                    std::optional<std::string_view> after)
{
    stream.cursor = stream.head_at_request = hub.head();
    if (const ngx_str_t header = find_header(stream.r, "Last-Event-ID"); header.len != 0) {
        after = view_of(header); // a browser that connects again repeats the arguments
    }
    if (!after || after->empty()) {
        return;
    }
    const auto sequence = sequence_of(*after, zone.gateway());
    stream.is_resumed = sequence && hub.can_resume(*sequence);
    stream.is_lost = !stream.is_resumed;
    if (stream.is_resumed) {
        stream.cursor = *sequence;
    }
}

} // namespace


ngx_int_t stream_events(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    const auto query = read_query(view_of(r->args));
    auto *stream = make_in_pool<event_stream>(r->pool);
    if (stream == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    stream->r = r;
    stream->form = location_of(r).documents;
    if (const auto fault = read_arguments(request, query, *stream); !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    if (r != r->main) {
        problem answer;
        answer.status = 400;
        answer.detail = "A subrequest cannot follow events: they do not end. Let the client itself request them.";
        return send_problem(r, answer);
    }
    shared_zone &zone = *main_of(r).zone;
    // The beginning is found before the task is read: a change in between is sent again, and not lost.
    find_beginning(*stream, zone, event_hub::of_process(zone), find_argument(query, "after"));
    request.stream = stream;
    if (request.route.is == api_route::shape::task_events) {
        stream->kind = request.route.kind;
        stream->task_id = request.route.name;
        request.found = on_found;
        return read_task(request);
    }
    const ngx_int_t rc = begin_stream(request, nullptr);
    if (rc == NGX_DONE) {
        ++r->main->count;
    }
    return rc;
}

} // namespace rollout
