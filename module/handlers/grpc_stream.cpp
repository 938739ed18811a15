#include "module/handlers/grpc_stream.hpp"

#include "module/configuration.hpp"
#include "module/handlers/grpc_status.hpp"
#include "module/handlers/request_accounting.hpp"
#include "module/handlers/request_name.hpp"
#include "module/handlers/route_handler.hpp"
#include "module/nginx/guard.hpp"

#include <optional>
#include <string>

namespace rollout {

namespace {

/// How often the routes of this process's streams are checked.
constexpr ngx_msec_t stream_check_ms = 1000;

struct {
    grpc_stream ends; ///< holds the first and the last element of the ring, once it has begun
    bool has_begun = false;
    ngx_event_t timer;
    ngx_connection_t no_connection; ///< nginx's debug log names a timer by its data's socket
} list;


void look_at(grpc_stream &stream)
{
    ngx_http_request_t *r = stream.request;
    const auto *choice = told_choice(r);
    if (stream.status != 0 || stream.unanswered != 0 || choice == nullptr || is_routed(r, *choice)) {
        return;
    }
    end_stream(stream, static_cast<unsigned>(grpc_status::unavailable),
               "Revision " + std::to_string(names_of(*choice).revision) + " is retired; open the stream again.");
}


void look(ngx_event_t *event)
{
    for (auto *stream = list.ends.next; stream != &list.ends;) {
        auto &now = *stream;
        stream = stream->next;
        guarded(event->log, [&now] { look_at(now); });
    }
    if (list.ends.next != &list.ends) {
        ngx_add_timer(&list.timer, stream_check_ms);
    }
}


void watch(grpc_stream &stream) noexcept
{
    if (!list.has_begun) {
        list.has_begun = true;
        list.ends.next = list.ends.previous = &list.ends;
        list.no_connection.fd = static_cast<ngx_socket_t>(-1);
        list.timer.handler = look;
        list.timer.data = &list.no_connection;
        list.timer.cancelable = 1;
    }
    stream.previous = list.ends.previous;
    stream.next = &list.ends;
    stream.previous->next = &stream;
    list.ends.previous = &stream;
    if (!list.timer.timer_set) {
        list.timer.log = ngx_cycle->log;
        ngx_add_timer(&list.timer, stream_check_ms);
    }
}


void unwatch(void *data)
{
    auto &stream = *static_cast<grpc_stream *>(data);
    stream.previous->next = stream.next;
    stream.next->previous = stream.previous;
    stream.previous = stream.next = nullptr;
}


bool add_trailer(ngx_http_request_t *r, std::string_view name, ngx_str_t value) noexcept
{
    auto *trailer = static_cast<ngx_table_elt_t *>(ngx_list_push(&r->headers_out.trailers));
    if (trailer == nullptr || value.data == nullptr) {
        return false;
    }
    *trailer = {};
    trailer->hash = 1;
    trailer->key = str_of(name);
    trailer->value = value;
    return true;
}


std::optional<ngx_int_t> end_now(request_turns &turns) noexcept
{
    ngx_http_request_t *r = turns.r;
    auto &stream = *static_cast<grpc_stream *>(turns.work);
    ngx_http_upstream_t *upstream = r->upstream;
    if (upstream == nullptr || upstream->cleanup == nullptr) {
        return NGX_DONE; // it has ended by itself, or is refused before it has a server
    }
    const bool had_head = r->header_sent;
    r->main->count++; // released when the upstream ends
    (*upstream->cleanup)(r);
    if (!had_head) {
        return send_grpc_status(r, stream.status, view_of(stream.sentence));
    }
    auto *digits = static_cast<u_char *>(ngx_pnalloc(r->pool, NGX_INT_T_LEN));
    if (digits == nullptr) {
        return NGX_ERROR;
    }
    const ngx_str_t number = {static_cast<std::size_t>(ngx_sprintf(digits, "%ud", stream.status) - digits), digits};
    if (!add_trailer(r, "grpc-status", number) ||
        !add_trailer(r, "grpc-message", encode_grpc_message(r->pool, view_of(stream.sentence)))) {
        return NGX_ERROR;
    }
    return ngx_http_send_special(r, NGX_HTTP_LAST);
}

} // namespace


grpc_stream *begin_stream(ngx_http_request_t *r) noexcept
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(grpc_stream));
    if (cleanup == nullptr) {
        return nullptr;
    }
    auto *stream = new (cleanup->data) grpc_stream();
    cleanup->handler = unwatch;
    stream->request = r;
    watch(*stream);
    return stream;
}


void note_message(grpc_stream &stream) noexcept
{
    ++stream.unanswered;
    if (stream.waiting < grpc_stream::timed_most) {
        stream.asked_at[(stream.first + stream.waiting) % grpc_stream::timed_most] = ngx_current_msec;
        ++stream.waiting;
    }
}


void note_answer(grpc_stream &stream, bool failed) noexcept
{
    stream.unanswered -= stream.unanswered != 0 ? 1 : 0;
    if (stream.waiting == 0) {
        return;
    }
    const ngx_msec_t took = ngx_current_msec - stream.asked_at[stream.first];
    stream.first = (stream.first + 1) % grpc_stream::timed_most;
    --stream.waiting;
    if (auto *choice = told_choice(stream.request)) {
        count_message(*choice, failed, took);
    }
}


void end_stream(grpc_stream &stream, unsigned status, std::string_view sentence) noexcept
{
    if (stream.status != 0) {
        return;
    }
    stream.status = status;
    stream.sentence = copy_to_pool(stream.request->pool, sentence);
    if (stream.sentence.data == nullptr) {
        stream.sentence = {};
    }
    begin_turns(stream.turns, stream.request, &stream, end_now);
}


ngx_int_t run_content(ngx_http_request_t *r, ngx_http_handler_pt content) noexcept
{
    const auto *body = r->reading_body ? named_body_of(r) : nullptr;
    if (body == nullptr || body->stream == nullptr) {
        return content(r);
    }
    // The handler asks for the body, which nginx considers read as far as it has come: nginx would start the upstream
    // at once, and end the body there. With `aio` set, it waits.
    r->aio = 1;
    const ngx_int_t rc = content(r);
    r->aio = 0;
    if (rc == NGX_DONE && r->upstream != nullptr) {
        r->request_body_no_buffering = 1;
        ngx_http_upstream_init(r);
    }
    return rc;
}

} // namespace rollout
