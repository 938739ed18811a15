// What became of a request that rollout_route sent to a revision: in flight until the request's end, its result counted for
// the metrics, and for the gate if a rollout watches.
//
// Only what the revision's own server did counts for the gate. A choice is followed from the content handler of its location on:
// the upstream that this makes is the choice's, and its end, which nginx tells by `finalize_request`, is the result, before an
// error_page, a stale answer or an X-Accel-Redirect changes what the client sees. The attempts are those of r->upstream_states
// from there up to the first state without a peer, which nginx puts before the attempts of another location.
//
// A latency is the server's: from when nginx has the request and a server to try, to the last byte of the answer. nginx has no
// field for what it waited for the client; it is measured here: to the last byte of an unbuffered request body, and while an
// answer cannot be read because the client does not take what has been read. Of a streamed answer (text/event-stream, gRPC, a
// connection that is upgraded) it is the time to the end of the head.
#pragma once

#include "module/handlers/waiting_watch.hpp"
#include "module/nginx/ngx.hpp"
#include "module/tables/route_metrics.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

struct answer_naming;
struct route_choice;
struct route_request;

/// Kept in the request's pool, with `leave_flight` as its cleanup: it outlives an internal redirect.
struct counted_request : waiting_request {
    ngx_http_request_t *request = nullptr; ///< a pool is its subrequests' as well
    const route_request *choice = nullptr; ///< what the variables tell
    const route_choice *route = nullptr;   ///< and its servers
    std::string_view model_id;
    std::uint64_t model = 0;           ///< a hash of the model's names
    std::uint64_t client = 0;          ///< a hash of the key, or of the client's address
    std::uint32_t in_flight_index = 0; ///< among those in flight
    slot which = slot::blue;
    route_metrics_entry meter;
    bool watched = false;
    bool inference = false;
    bool evidence = false;
    bool is_grpc = false;   ///< its result is a gRPC status
    bool is_stream = false; ///< and its messages count, each by itself
    bool admitted = false;  ///< it has got past access control
    bool metered = false;
    bool judged = false;

    ngx_http_handler_pt content = nullptr; ///< its location's own content handler
    bool entered = false;                  ///< and that was called
    ngx_uint_t states_from = 0;            ///< r->upstream_states has more than so many once the server is tried
    ngx_http_upstream_t *upstream_before = nullptr;
    ngx_http_upstream_t *upstream = nullptr;                     ///< made by the content handler
    void (*finalize)(ngx_http_request_t *, ngx_int_t) = nullptr; ///< `upstream`'s own

    bool ended = false; ///< and that has come to its end

    bool reached = false;          ///< it was sent to the server, or nginx tried to; once it is judged
    bool output_failed = false;    ///< what the server sent could not be passed on
    bool client_is_slow = false;   ///< it has not taken all that nginx has for it, since `client_slow_at`
    bool stalled = false;          ///< and of an unbuffered answer nothing is read for that
    ngx_msec_t client_slow_at = 0; ///< in ngx_current_msec's time
    ngx_msec_t body_in_at = 0;     ///< the same: the last of the request's body, passed on as it comes in
    ngx_msec_t waited_for_client = 0;
    std::uint64_t latency_ms = 0; ///< once it is judged and was reached
    unsigned grpc_class = 0;      ///< the HTTP status that its gRPC status counts as; 0: its HTTP status does

    answer_naming *answer = nullptr; ///< writes the client's name of the model into the answer
};

/// Makes the cleanup, added for it, the count of its request; in flight from now on.
counted_request *count_in_flight(ngx_pool_cleanup_t *cleanup, const counted_request &of) noexcept;

/// What is in flight ends with the request's pool, whatever else becomes of the request.
void leave_flight(void *data) noexcept;

/// The request has got past access control, and its location's content handler is next, which is followed.
void admit_to_server(counted_request &choice) noexcept;

/// A message of a stream has its answer, with an error in it or not: for the gate.
void count_message(const counted_request &choice, bool failed, std::uint64_t latency_ms) noexcept;

/// The request goes through the phases of another location: an upstream that is unknown until now is the last one's.
void leave_location(ngx_http_request_t *r) noexcept;

/// The request's newest choice that has got past access control, over internal redirects; null without one.
counted_request *told_choice(const ngx_http_request_t *r) noexcept;

/// The choice that the request's upstream goes by; null if no rollout_route chose for it.
const counted_request *choice_of_upstream(const ngx_http_request_t *r) noexcept;

/// The upstream of a content handler shows itself when it reads a variable, and when it sends its answer's head.
void note_upstream(counted_request &choice) noexcept;

/// The log phase: what has not been judged until then is, and all counts for the metrics. With the main request go its
/// subrequests that went to a model: most of them have no log phase of their own.
void count_results(ngx_http_request_t *r) noexcept;

/// Puts the filters that measure how long nginx waits for clients before all others.
void install_client_clocks() noexcept;

} // namespace rollout
