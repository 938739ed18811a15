// The outcome of a request that rollout_route sent to a revision. The request is in flight until its end; its result
// counts for the metrics, and for the gate if a rollout watches the revision.
//
// Only what the revision's own server did counts for the gate. A choice is followed from the content handler of its
// location on. The upstream that this handler creates belongs to the choice, and its end, which nginx reports by
// `finalize_request`, is the result, before an error_page, a stale answer or an X-Accel-Redirect changes what the
// client sees. The attempts are those of r->upstream_states from there up to the first state without a peer, which
// nginx puts before the attempts of another location.
//
// A latency is the server's: from when nginx has the request and a server to try, to the last byte of the answer.
// nginx has no field for the time it spent waiting for the client, so it is measured here: to the last byte of an
// unbuffered request body, and while an answer cannot be read because the client does not accept what has been read.
// For a streamed answer (text/event-stream, gRPC, an upgraded connection) the latency is the time to the end of the
// headers.
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

/// Kept in the request's pool, with `leave_flight` as its cleanup: it survives an internal redirect.
struct counted_request : waiting_request {
    ngx_http_request_t *request = nullptr; ///< the owner: a pool is shared with subrequests
    const route_request *choice = nullptr; ///< the values of the variables
    const route_choice *route = nullptr;   ///< the route, with its servers
    std::string_view model_id;
    std::uint64_t model = 0;           ///< a hash of the model's names
    std::uint64_t client = 0;          ///< a hash of the key, or of the client's address
    std::uint32_t in_flight_index = 0; ///< its index in the in_flight_table
    slot which = slot::blue;
    route_metrics_entry meter;
    bool watched = false;
    bool inference = false;
    bool evidence = false;
    bool is_grpc = false;     ///< its result is a gRPC status
    bool is_stream = false;   ///< each of its messages counts by itself
    bool has_message = false; ///< one of its messages has been counted
    bool admitted = false;    ///< it has passed access control
    bool metered = false;
    bool judged = false;

    ngx_http_handler_pt content = nullptr; ///< its location's own content handler
    bool entered = false;                  ///< that handler has been called
    ngx_uint_t states_from = 0;            ///< r->upstream_states has more than this many once the server is tried
    ngx_http_upstream_t *upstream_before = nullptr;
    ngx_http_upstream_t *upstream = nullptr;                     ///< created by the content handler
    void (*finalize)(ngx_http_request_t *, ngx_int_t) = nullptr; ///< `upstream`'s own

    bool ended = false; ///< the upstream has ended

    bool reached = false;          ///< nginx sent it to the server, or tried to; valid once it is judged
    bool output_failed = false;    ///< the server's answer could not be passed on
    bool client_is_slow = false;   ///< since `client_slow_at`, it has not taken all that nginx has for it
    bool stalled = false;          ///< reading of an unbuffered answer has stopped for that reason
    ngx_msec_t client_slow_at = 0; ///< in ngx_current_msec's time
    ngx_msec_t body_in_at = 0;     ///< the same, for the last byte of a request body that is passed on as it arrives
    ngx_msec_t waited_for_client = 0;
    std::uint64_t latency_ms = 0; ///< valid if it is judged and was reached
    unsigned grpc_class = 0;      ///< the HTTP status that stands for its gRPC status; 0: use its HTTP status

    answer_naming *answer = nullptr; ///< writes the client's name of the model into the answer
};

/// Makes the cleanup, which was added for it, count its request, and counts the request as in flight from now on.
counted_request *count_in_flight(ngx_pool_cleanup_t *cleanup, const counted_request &of) noexcept;

/// Counts the request out when its pool is destroyed, whatever else happens to it.
void leave_flight(void *data) noexcept;

/// Marks the request as past access control, and follows the content handler of its location, which runs next.
void admit_to_server(counted_request &choice) noexcept;

/// Counts a message of a stream for the gate when its answer has come, with an error or without.
void count_message(counted_request &choice, bool failed, std::uint64_t latency_ms) noexcept;

/// To be called when the request enters the phases of another location: judges the choice of the location that it
/// leaves. An upstream that has not been noted by then is that choice's.
void leave_location(ngx_http_request_t *r) noexcept;

/// Returns the newest choice of the request that has passed access control, across internal redirects; null if there
/// is none.
counted_request *told_choice(const ngx_http_request_t *r) noexcept;

/// Returns the choice that the request's upstream follows; null if no rollout_route chose for it.
const counted_request *choice_of_upstream(const ngx_http_request_t *r) noexcept;

/// Notes the upstream that a content handler has created: it becomes visible when the upstream reads a variable, and
/// when it sends the headers of its answer.
void note_upstream(counted_request &choice) noexcept;

/// Runs in the log phase: judges the choices that have not been judged, and counts all for the metrics. With the main
/// request it counts the subrequests that went to a model, most of which have no log phase of their own.
void count_results(ngx_http_request_t *r) noexcept;

/// Installs the filters, before all others, that measure how long nginx waits for clients.
void install_client_clocks() noexcept;

} // namespace rollout
