#include "module/route_result.hpp"

#include "module/configuration.hpp"
#include "module/shared_zone.hpp"

#include <optional>

namespace rollout {

namespace {

/// The newest choice from there on: an internal redirect empties the request's contexts, not its pool.
ngx_pool_cleanup_t *choice_from(ngx_pool_cleanup_t *at) noexcept
{
    while (at != nullptr && at->handler != leave_flight) {
        at = at->next;
    }
    return at;
}


counted_request &choice_at(const ngx_pool_cleanup_t *at) noexcept
{
    return *static_cast<counted_request *>(at->data);
}


/// A subrequest that went to a model and has come to its end: another may have asked for the route's variables alone.
bool is_answered(const ngx_http_request_t *subrequest) noexcept
{
    return subrequest->done && subrequest->upstream_states != nullptr && subrequest->upstream_states->nelts != 0;
}


/// An answer that its upstream broke off, or was too slow to end, after its first bytes had gone to the client.
bool is_cut_short(const ngx_http_request_t *r) noexcept
{
    const ngx_http_upstream_t *upstream = r->upstream;
    if (upstream == nullptr || !upstream->header_sent || upstream->pipe == nullptr || !upstream->buffering) {
        return false;
    }
    const ngx_event_pipe_t *pipe = upstream->pipe;
    return pipe->upstream_error || (pipe->upstream_eof && pipe->length > 0);
}


/// As the client saw it, or would have; 0 without an answer.
ngx_uint_t sent_status(const ngx_http_request_t *r) noexcept
{
    return r->err_status != 0 ? r->err_status : r->headers_out.status;
}


/// Nothing where the client went away first: that is not the model's doing.
std::optional<traffic_table::result> result_of(const ngx_http_request_t *r) noexcept
{
    const ngx_uint_t sent = sent_status(r);
    ngx_uint_t status = sent;
    if (r->upstream_states != nullptr && r->upstream_states->nelts != 0) {
        const auto *states = static_cast<const ngx_http_upstream_state_t *>(r->upstream_states->elts);
        const ngx_uint_t last = states[r->upstream_states->nelts - 1].status;
        status = last != 0 ? last : sent;
    }
    if (sent == NGX_HTTP_CLIENT_CLOSED_REQUEST || status == NGX_HTTP_CLIENT_CLOSED_REQUEST || status == 0) {
        return std::nullopt;
    }
    if (status >= 500 || is_cut_short(r)) {
        return traffic_table::result::failure;
    }
    return status >= 400 ? traffic_table::result::client_error : traffic_table::result::good;
}


/// What the upstreams took, all attempts together; without one, what the request took.
std::uint64_t latency_ms(const ngx_http_request_t *r) noexcept
{
    std::uint64_t sum = 0;
    bool known = false;
    if (r->upstream_states != nullptr) {
        const auto *states = static_cast<const ngx_http_upstream_state_t *>(r->upstream_states->elts);
        for (ngx_uint_t i = 0; i < r->upstream_states->nelts; ++i) {
            if (states[i].response_time != static_cast<ngx_msec_t>(-1)) {
                sum += states[i].response_time;
                known = true;
            }
        }
    }
    if (known) {
        return sum;
    }
    const ngx_time_t *now = ngx_timeofday();
    const auto took = static_cast<ngx_msec_int_t>((now->sec - r->start_sec) * 1000) +
                      static_cast<ngx_msec_int_t>(now->msec) - static_cast<ngx_msec_int_t>(r->start_msec);
    return took < 0 ? 0 : static_cast<std::uint64_t>(took);
}


void count(const shared_zone &zone, counted_request &choice) noexcept
{
    choice.is_counted = true;
    const ngx_http_request_t *r = choice.request;
    const auto latency = latency_ms(r);
    if (const auto status = sent_status(r); status != 0) {
        meter_table(zone.meters).count(choice.meter, choice.which, static_cast<unsigned>(status), latency);
    }
    if (!choice.watched) {
        return;
    }
    if (const auto how = result_of(r)) {
        traffic_table(zone.traffic)
            .count(choice.revision_key, *how, latency, static_cast<std::uint32_t>(ngx_current_msec / 1000));
    }
}

} // namespace


void count_in_flight(ngx_pool_cleanup_t *cleanup, const counted_request &choice) noexcept
{
    // Only a request that was redirected, for which nginx counts down from one more than this, has chosen before: the many
    // slices of an answer need not look for it.
    if (choice.request->uri_changes <= NGX_HTTP_MAX_URI_CHANGES) {
        for (auto *at = choice_from(cleanup->next); at != nullptr; at = choice_from(at->next)) {
            if (choice_at(at).request == choice.request) {
                choice_at(at).is_counted = true;
            }
        }
    }
    choice_at(cleanup) = choice;
    cleanup->handler = leave_flight;
}


void leave_flight(void *data) noexcept
{
    if (auto *flights = in_flight_of_process()) {
        flights->exit(static_cast<counted_request *>(data)->place);
    }
}


ngx_int_t count_result(ngx_http_request_t *r) noexcept
{
    for (auto *at = choice_from(r->pool->cleanup); at != nullptr; at = choice_from(at->next)) {
        auto &choice = choice_at(at);
        if (!choice.is_counted && (choice.request == r || (r == r->main && is_answered(choice.request)))) {
            count(*main_of(r).zone, choice);
        }
    }
    return NGX_OK;
}

} // namespace rollout
