#include "module/handlers/request_accounting.hpp"

#include "module/configuration.hpp"
#include "module/handlers/grpc_status.hpp"
#include "module/handlers/grpc_stream.hpp"
#include "module/handlers/ready_peers.hpp"
#include "module/handlers/request_name.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/tables/client_table.hpp"
#include "module/zone/process_in_flight.hpp"
#include "module/zone/shared_zone.hpp"

#include <algorithm>
#include <new>
#include <optional>

namespace rollout {

namespace {

constexpr auto not_yet = static_cast<ngx_msec_t>(-1);

client_table clients;

/// The choices of this process whose upstream is followed and has not ended. If it is 0, the filters have nothing to
/// do.
std::size_t followed = 0;

ngx_http_output_body_filter_pt body_filter_after_accounting;
ngx_http_request_body_filter_pt next_request_body_filter;


/// Returns the newest choice from that cleanup on: an internal redirect clears the request's contexts, not its pool.
ngx_pool_cleanup_t *choice_from(ngx_pool_cleanup_t *cleanup) noexcept
{
    while (cleanup != nullptr && cleanup->handler != leave_flight) {
        cleanup = cleanup->next;
    }
    return cleanup;
}


counted_request &choice_at(const ngx_pool_cleanup_t *cleanup) noexcept
{
    return *static_cast<counted_request *>(cleanup->data);
}


/// Returns the newest of the request's choices that `is_it` accepts; null if there is none.
template <class IsIt>
counted_request *find_choice(const ngx_http_request_t *r, IsIt is_it) noexcept
{
    for (auto *cleanup = choice_from(r->pool->cleanup); cleanup != nullptr; cleanup = choice_from(cleanup->next)) {
        auto &choice = choice_at(cleanup);
        if (choice.request == r && is_it(choice)) {
            return &choice;
        }
    }
    return nullptr;
}


std::uint32_t now_s() noexcept
{
    return static_cast<std::uint32_t>(ngx_current_msec / 1000);
}


// The attempts at the choice's server.

struct server_attempts {
    const ngx_http_upstream_state_t *last = nullptr; ///< null if there were none
    ngx_msec_t before_last = 0;                      ///< the time of the attempts before it, in milliseconds
    ngx_msec_t all = 0;                              ///< the time of all attempts up to now
};


server_attempts attempts_of(const counted_request &choice) noexcept
{
    server_attempts found;
    const ngx_array_t *list = choice.request->upstream_states;
    // An upstream without a state was never connected: the states there are another location's.
    if (list == nullptr || !choice.entered || (choice.upstream != nullptr && choice.upstream->state == nullptr)) {
        return found;
    }
    const auto *states = static_cast<const ngx_http_upstream_state_t *>(list->elts);
    ngx_uint_t i = choice.states_from;
    if (i > 0 && i < list->nelts && states[i].peer == nullptr) {
        ++i; // the separator between an earlier location's attempts and these
    }
    for (; i < list->nelts && states[i].peer != nullptr; ++i) {
        found.last = &states[i];
        found.before_last = found.all;
        if (states[i].response_time != not_yet) {
            found.all += states[i].response_time;
        } else if (choice.upstream != nullptr) {
            found.all += ngx_current_msec - choice.upstream->start_time;
        }
    }
    return found;
}


/// Returns the part of the attempts' time that is not the server's: until the request's body had arrived from the
/// client, or the headers of the answer from the server if they came first. In a stream, each message has its own
/// answer.
ngx_msec_t time_before_body(const counted_request &choice, const server_attempts &attempts) noexcept
{
    const ngx_http_request_t *r = choice.request;
    if (!r->request_body_no_buffering || choice.body_in_at == 0 || choice.is_stream) {
        return 0;
    }
    const ngx_msec_t began = ngx_current_msec - attempts.all;
    const auto into = static_cast<ngx_msec_int_t>(choice.body_in_at - began);
    ngx_msec_t before = r->reading_body ? attempts.all : static_cast<ngx_msec_t>(std::max<ngx_msec_int_t>(into, 0));
    before = std::min(before, attempts.all);
    if (attempts.last->header_time != not_yet) {
        before = std::min(before, attempts.before_last + attempts.last->header_time);
    }
    return before;
}


std::optional<std::uint64_t> waited_for_head(const waiting_request &request) noexcept
{
    const auto &choice = static_cast<const counted_request &>(request);
    if (choice.judged) {
        return std::nullopt;
    }
    const auto attempts = attempts_of(choice);
    if (attempts.last == nullptr) {
        return 0;
    }
    if (attempts.last->header_time != not_yet) {
        return std::nullopt;
    }
    return attempts.all - time_before_body(choice, attempts);
}


/// Returns whether nginx reads no more of the answer until the client takes some of it.
bool is_reading_stalled(const ngx_http_upstream_t &upstream) noexcept
{
    if (!upstream.buffering) {
        const ngx_connection_t *peer = upstream.peer.connection;
        return upstream.buffer.last == upstream.buffer.end || upstream.length == 0 ||
               (peer != nullptr && peer->read->eof);
    }
    const ngx_event_pipe_t *pipe = upstream.pipe;
    return pipe != nullptr && !pipe->cacheable && pipe->free_raw_bufs == nullptr &&
           pipe->allocated >= pipe->bufs.num && pipe->temp_file != nullptr &&
           pipe->temp_file->offset >= pipe->max_temp_file_size;
}


/// Ends a wait for the client, because it accepts data again or the request is over.
void end_wait_for_client(counted_request &choice) noexcept
{
    if (!choice.client_is_slow) {
        return;
    }
    choice.client_is_slow = false;
    // nginx continued to read a buffered answer after its last write, until the buffers were full.
    if (choice.upstream->buffering ? is_reading_stalled(*choice.upstream) : choice.stalled) {
        choice.waited_for_client += ngx_current_msec - choice.client_slow_at;
    }
}


// The result.

enum class fate : std::uint8_t { good, client_error, failure, abandoned, nothing };


fate fate_of_status(ngx_uint_t status) noexcept
{
    return status >= 500 ? fate::failure : status >= 400 ? fate::client_error : fate::good;
}


bool is_client_gone(const counted_request &choice, ngx_int_t rc) noexcept
{
    const ngx_http_request_t *r = choice.request;
    const ngx_event_pipe_t *pipe = choice.upstream->pipe;
    return rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || rc == NGX_HTTP_REQUEST_TIME_OUT || rc == NGX_DONE ||
           // While its body is passed on as it arrives.
           (rc == NGX_HTTP_BAD_REQUEST && r->connection->error) ||
           (rc == NGX_ERROR && (r->connection->error || r->connection->timedout || choice.output_failed ||
                                (pipe != nullptr && pipe->downstream_error)));
}


std::uint64_t request_ms(const ngx_http_request_t *r) noexcept
{
    const ngx_time_t *now = ngx_timeofday();
    const auto took = static_cast<ngx_msec_int_t>((now->sec - r->start_sec) * 1000) +
                      static_cast<ngx_msec_int_t>(now->msec) - static_cast<ngx_msec_int_t>(r->start_msec);
    return took < 0 ? 0 : static_cast<std::uint64_t>(took);
}


fate fate_of_grpc_status(unsigned status) noexcept
{
    switch (static_cast<grpc_status>(status)) {
    case grpc_status::ok:
        return fate::good;
    case grpc_status::cancelled:
        return fate::nothing;
    case grpc_status::unknown:
    case grpc_status::deadline_exceeded:
    case grpc_status::internal:
    case grpc_status::unavailable:
    case grpc_status::data_loss:
        return fate::failure;
    default:
        return fate::client_error;
    }
}


/// Returns whether the client's deadline has passed. A client with a deadline cancels the call then, and this is the
/// only sign of a server that hangs.
bool is_deadline_over(const counted_request &choice) noexcept
{
    const auto timeout = grpc_timeout_ms(choice.request);
    return timeout && request_ms(choice.request) * 100 >= *timeout * 95;
}


/// Judges a gRPC call by its gRPC status, since the HTTP status is always 200.
fate fate_of_call(const counted_request &choice, const ngx_http_upstream_state_t &last,
                  std::optional<ngx_int_t> rc) noexcept
{
    const ngx_http_request_t *r = choice.request;
    if (const auto *body = named_body_of(r);
        body != nullptr && body->stream != nullptr && body->stream->status != 0) {
        return body->stream->status == static_cast<unsigned>(grpc_status::unavailable) ? fate::nothing
                                                                                       : fate::client_error;
    }
    if (last.status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return fate::failure;
    }
    if (last.status != 0 && last.status != NGX_HTTP_OK) {
        return fate_of_status(last.status);
    }
    if (rc && (*rc == NGX_HTTP_BAD_GATEWAY || *rc == NGX_HTTP_GATEWAY_TIME_OUT)) {
        return fate::failure;
    }
    if (rc ? is_client_gone(choice, *rc) : r->connection->error != 0) {
        return is_deadline_over(choice) ? fate::failure : fate::abandoned;
    }
    if (last.status == 0) {
        return fate::nothing;
    }
    const auto status = grpc_status_of(*choice.upstream);
    return status ? fate_of_grpc_status(*status) : fate::failure;
}


unsigned class_of(fate kind) noexcept
{
    switch (kind) {
    case fate::good:
        return NGX_HTTP_OK;
    case fate::client_error:
        return NGX_HTTP_BAD_REQUEST;
    case fate::failure:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    case fate::abandoned:
        return NGX_HTTP_CLIENT_CLOSED_REQUEST;
    case fate::nothing:
        break;
    }
    return 0;
}


/// `rc` is the code with which nginx ends the upstream; nothing if it is not known.
fate fate_of(const counted_request &choice, const ngx_http_upstream_state_t &last,
             std::optional<ngx_int_t> rc) noexcept
{
    const ngx_http_request_t *r = choice.request;
    if (r->request_body_no_buffering && r->reading_body && last.status == 0) {
        return fate::nothing; // the server did not receive the whole request
    }
    if (last.status == 0) {
        const bool gone = rc ? is_client_gone(choice, *rc) : r->connection->error != 0;
        return gone ? fate::abandoned : fate::nothing;
    }
    // A failure of its own, or an answer whose body was not waited for.
    if (last.status >= 500 || last.status == NGX_HTTP_SWITCHING_PROTOCOLS || !rc || !choice.upstream->header_sent) {
        return fate_of_status(last.status);
    }
    if (*rc == NGX_HTTP_BAD_GATEWAY || *rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        return fate::failure; // it broke off, or took too long to continue
    }
    if (is_client_gone(choice, *rc)) {
        return fate::abandoned;
    }
    return *rc == NGX_ERROR ? fate::failure : fate_of_status(last.status);
}


bool is_streamed(const ngx_http_upstream_t &upstream, const ngx_http_upstream_state_t &last) noexcept
{
    const ngx_table_elt_t *type = upstream.headers_in.content_type;
    const auto is = [type](std::string_view name) {
        return type != nullptr && type->value.len >= name.size() &&
               ngx_strncasecmp(type->value.data, str_of(name).data, name.size()) == 0;
    };
    return last.status == NGX_HTTP_SWITCHING_PROTOCOLS || is("text/event-stream") || is("application/grpc");
}


/// Reports which of several servers has failed the request.
void report_failed_server(const counted_request &choice) noexcept
{
    const auto *last = attempts_of(choice).last;
    auto *link = link_of_process();
    if (link == nullptr || last == nullptr || choice.upstream == nullptr || choice.route == nullptr ||
        choice.route->peers.empty()) {
        return;
    }
    if (const auto peer = known_peer_of(*choice.upstream, *last->peer, choice.route->peers); !peer.empty()) {
        link->report_failure(choice.model_id, choice.route->revision, peer);
    }
}


void count_for_gate(const counted_request &choice, fate kind, std::uint64_t latency_ms,
                    std::optional<std::uint64_t> first_byte_ms) noexcept
{
    gate_counters table(main_of(choice.request).zone->traffic, ngx_worker);
    if (!choice.evidence) {
        table.count_left_out(choice.revision_key, now_s());
        return;
    }
    if (kind == fate::abandoned) {
        table.count_abandoned(choice.revision_key, latency_ms, now_s());
        return;
    }
    const auto result = kind == fate::failure        ? gate_counters::result::failure
                        : kind == fate::client_error ? gate_counters::result::client_error
                                                     : gate_counters::result::good;
    table.count(choice.revision_key, result, latency_ms, first_byte_ms, now_s());
    if (kind == fate::failure) {
        clients.failed(choice.model, choice.client, choice.which, now_s());
        report_failed_server(choice);
    }
}


bool is_evidence(const counted_request &choice) noexcept
{
    return clients.admit(choice.model, choice.client, choice.which, now_s());
}


/// A stream is admitted for what comes of it first. It may be open for long, so what comes later is asked for then.
void admit_next_message(counted_request &choice) noexcept
{
    if (choice.is_stream && choice.has_message) {
        choice.evidence = is_evidence(choice);
    }
    choice.has_message = true;
}


/// Decides, once, what the choice's server did.
void judge(counted_request &choice, std::optional<ngx_int_t> rc) noexcept
{
    if (choice.judged) {
        return;
    }
    if (choice.finalize != nullptr) {
        --followed;
    }
    choice.judged = true;
    const auto attempts = attempts_of(choice);
    if (attempts.last != nullptr && choice.upstream != nullptr) {
        end_wait_for_client(choice);
        choice.reached = true;
        const ngx_msec_t not_its_own = time_before_body(choice, attempts);
        const ngx_msec_t its_own = attempts.all - not_its_own;
        std::optional<std::uint64_t> first_byte;
        if (attempts.last->header_time != not_yet) {
            first_byte = attempts.before_last + attempts.last->header_time - not_its_own;
        }
        const bool streamed =
            first_byte && (!choice.is_grpc || choice.is_stream) && is_streamed(*choice.upstream, *attempts.last);
        choice.latency_ms = streamed ? *first_byte : its_own - std::min(its_own, choice.waited_for_client);
        const fate kind =
            choice.is_grpc ? fate_of_call(choice, *attempts.last, rc) : fate_of(choice, *attempts.last, rc);
        choice.grpc_class = choice.is_grpc ? class_of(kind) : 0;
        // The messages of a stream have counted by themselves, unless the server has never answered any.
        const bool has_counted = choice.is_stream && (kind == fate::good || (kind == fate::abandoned && first_byte));
        if (kind != fate::nothing && !has_counted && choice.watched && choice.inference) {
            admit_next_message(choice);
            count_for_gate(choice, kind, choice.latency_ms, first_byte);
        }
    }
    unwatch_waiting(choice);
}


// How choices are followed.

void end_of_upstream(ngx_http_request_t *r, ngx_int_t rc) noexcept
{
    auto *choice =
        find_choice(r, [r](const counted_request &candidate) { return candidate.upstream == r->upstream; });
    if (choice == nullptr) {
        return; // impossible: this is called only through the choice's upstream
    }
    judge(*choice, rc);
    choice->ended = true;
    choice->finalize(r, rc);
}


void follow(counted_request &choice, ngx_http_upstream_t *upstream) noexcept
{
    choice.upstream = upstream;
    if (choice.finalize == nullptr && !choice.judged && upstream->finalize_request != nullptr) {
        choice.finalize = upstream->finalize_request;
        upstream->finalize_request = end_of_upstream;
        ++followed;
    }
}


void admit(counted_request &choice) noexcept
{
    if (!choice.admitted) {
        choice.admitted = true;
        choice.evidence = choice.watched && choice.inference && is_evidence(choice);
    }
}


void enter(counted_request &choice) noexcept
{
    const ngx_http_request_t *r = choice.request;
    choice.entered = true;
    choice.states_from = r->upstream_states != nullptr ? r->upstream_states->nelts : 0;
    choice.upstream_before = r->upstream;
}


/// The subrequests of slice and of the cache start there and skip the earlier phases.
bool is_in_content_handler(ngx_http_request_t *r) noexcept
{
    const auto *core =
        static_cast<ngx_http_core_main_conf_t *>(ngx_http_get_module_main_conf(r, ngx_http_core_module));
    return r != r->main && core->phase_engine.handlers[r->phase_handler].checker == ngx_http_core_content_phase;
}


/// The content handler of a location with a choice: calls the location's own, and follows what that starts.
ngx_int_t enter_content(ngx_http_request_t *r) noexcept
{
    auto *choice = find_choice(r, [](const counted_request &candidate) { return candidate.content != nullptr; });
    if (choice == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR; // impossible: admit_to_server has set it
    }
    if (choice->entered) {
        return run_content(r, choice->content);
    }
    enter(*choice);
    const ngx_int_t rc = run_content(r, choice->content);

    // The request lives until nginx has the result of its content handler. But its upstream may have ended already,
    // and the request may have moved on to another location.
    if (choice->judged) {
        return rc;
    }
    if (choice->upstream == nullptr && r->upstream != choice->upstream_before) {
        choice->upstream = r->upstream;
    }
    if (choice->upstream == nullptr) {
        return rc;
    }
    if (choice->upstream->cleanup == nullptr && attempts_of(*choice).last != nullptr) {
        judge(*choice, std::nullopt);
        return rc;
    }
    follow(*choice, choice->upstream);
    if (choice->watched && choice->inference && choice->evidence) {
        watch_waiting(*choice, waited_for_head);
    }
    return rc;
}


// Time spent waiting for the client.

ngx_int_t accounting_body_filter(ngx_http_request_t *r, ngx_chain_t *in) noexcept
{
    if (followed == 0 || r->upstream == nullptr) {
        return body_filter_after_accounting(r, in);
    }
    auto *choice = find_choice(r, [r](const counted_request &candidate) {
        return candidate.upstream == r->upstream && candidate.watched && !candidate.judged;
    });
    if (choice == nullptr) {
        return body_filter_after_accounting(r, in);
    }
    end_wait_for_client(*choice);
    const ngx_int_t rc = body_filter_after_accounting(r, in);
    if (rc == NGX_ERROR) {
        choice->output_failed = true;
    }
    // Over HTTP/2, what the socket does not take waits in frames, below nginx's write filter.
    if ((r->connection->buffered & (NGX_HTTP_WRITE_BUFFERED | NGX_HTTP_V2_BUFFERED)) != 0) {
        choice->client_is_slow = true;
        choice->client_slow_at = ngx_current_msec;
        choice->stalled = is_reading_stalled(*r->upstream);
    }
    return rc;
}


ngx_int_t request_body_filter(ngx_http_request_t *r, ngx_chain_t *in) noexcept
{
    if (r->request_body_no_buffering) {
        if (auto *choice = find_choice(
                r, [](const counted_request &candidate) { return candidate.entered && !candidate.judged; })) {
            choice->body_in_at = ngx_current_msec;
        }
    }
    return next_request_body_filter(r, in);
}


// Counting for the metrics.

/// Returns whether the subrequest went to a model and has ended: others may only have read the route's variables.
bool is_answered(const ngx_http_request_t *subrequest) noexcept
{
    return subrequest->done && subrequest->upstream_states != nullptr && subrequest->upstream_states->nelts != 0;
}


/// An answer from the cache never reaches `end_of_upstream`.
bool is_cached([[maybe_unused]] const counted_request &choice) noexcept
{
#if (NGX_HTTP_CACHE)
    return choice.upstream != nullptr && choice.upstream == choice.request->upstream && choice.request->cached;
#else
    return false;
#endif
}


/// Returns the status as the client saw it, or would have; 0 if there was no answer.
ngx_uint_t sent_status(const ngx_http_request_t *r) noexcept
{
    return r->err_status != 0 ? r->err_status : r->headers_out.status;
}


void meter(counted_request &choice) noexcept
{
    choice.metered = true;
    const ngx_http_request_t *r = choice.request;
    if (!choice.judged) {
        if (choice.upstream == nullptr && choice.entered && r->upstream != choice.upstream_before) {
            choice.upstream = r->upstream;
        }
        judge(choice, std::nullopt);
    }
    const auto status = choice.grpc_class != 0 ? choice.grpc_class : sent_status(r);
    // This also counts answers from the cache, and requests whose server name could not be resolved.
    if ((!choice.reached && !choice.ended && !is_cached(choice)) || status == 0) {
        return;
    }
    route_metrics meters(main_of(choice.request).zone->meters, ngx_worker);
    meters.count(choice.meter, choice.which, static_cast<unsigned>(status),
                 choice.reached ? choice.latency_ms : request_ms(r));
    if (choice.inference && choice.reached) {
        meters.count_inference(choice.meter, now_s());
    }
}

} // namespace


counted_request *count_in_flight(ngx_pool_cleanup_t *cleanup, const counted_request &of) noexcept
{
    auto *choice = new (cleanup->data) counted_request(of);
    cleanup->handler = leave_flight;
    if (is_in_content_handler(of.request)) {
        admit(*choice);
        enter(*choice);
        choice->upstream_before = nullptr;
    }
    return choice;
}


void leave_flight(void *data) noexcept
{
    auto &choice = *static_cast<counted_request *>(data);
    if (choice.finalize != nullptr && !choice.judged) {
        --followed;
    }
    unwatch_waiting(choice);
    if (auto *flights = in_flight_of_process()) {
        flights->exit(choice.in_flight_index);
    }
}


void admit_to_server(counted_request &choice) noexcept
{
    ngx_http_request_t *r = choice.request;
    admit(choice);
    if (r->content_handler != nullptr && r->content_handler != enter_content && !choice.entered) {
        choice.content = r->content_handler;
        r->content_handler = enter_content;
    }
}


void count_message(counted_request &choice, bool failed, std::uint64_t latency_ms) noexcept
{
    if (choice.watched && choice.inference) {
        admit_next_message(choice);
        count_for_gate(choice, failed ? fate::failure : fate::good, latency_ms, latency_ms);
    }
}


void leave_location(ngx_http_request_t *r) noexcept
{
    auto *choice = find_choice(r, [](const counted_request &candidate) {
        return candidate.entered && !candidate.judged && candidate.upstream == nullptr;
    });
    if (choice == nullptr) {
        return;
    }
    if (r->upstream != choice->upstream_before) {
        choice->upstream = r->upstream;
    }
    judge(*choice, std::nullopt);
}


counted_request *told_choice(const ngx_http_request_t *r) noexcept
{
    return find_choice(r, [](const counted_request &candidate) { return candidate.admitted; });
}


const counted_request *choice_of_upstream(const ngx_http_request_t *r) noexcept
{
    return find_choice(r, [r](const counted_request &candidate) {
        return candidate.entered && !candidate.judged &&
               (candidate.upstream == nullptr ? r->upstream != candidate.upstream_before
                                              : candidate.upstream == r->upstream);
    });
}


void note_upstream(counted_request &choice) noexcept
{
    const ngx_http_request_t *r = choice.request;
    if (choice.entered && r->upstream != nullptr && r->upstream != choice.upstream_before &&
        (choice.upstream == nullptr || choice.upstream == r->upstream)) {
        follow(choice, r->upstream);
    }
}


void count_results(ngx_http_request_t *r) noexcept
{
    for (auto *cleanup = choice_from(r->pool->cleanup); cleanup != nullptr; cleanup = choice_from(cleanup->next)) {
        auto &choice = choice_at(cleanup);
        if (!choice.metered && (choice.request == r || (r == r->main && is_answered(choice.request)))) {
            meter(choice);
        }
    }
}


void install_client_clocks() noexcept
{
    body_filter_after_accounting = ngx_http_top_body_filter;
    ngx_http_top_body_filter = accounting_body_filter;
    next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = request_body_filter;
}

} // namespace rollout
