// A stream of gRPC requests (ModelStreamInfer): its first message decides the route, and the whole stream stays with
// that revision.
//
// The stream ends with a status if a message names another model, or when no route names the revision any more: then
// as soon as no message waits for its answer. Each message counts for the gate with its first answer.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/nginx/request_turns.hpp"

#include <array>
#include <string_view>

namespace rollout {

/// In the request's pool.
struct grpc_stream {
    /// The most messages that are timed while they wait for an answer; any more are not timed.
    static constexpr std::size_t timed_most = 64;

    ngx_http_request_t *request = nullptr;
    grpc_stream *previous = nullptr; ///< in the list of this process's streams; null if not in the list
    grpc_stream *next = nullptr;
    std::array<ngx_msec_t, timed_most> asked_at{}; ///< a ring, in ngx_current_msec's time
    std::size_t first = 0;
    std::size_t waiting = 0;    ///< of these
    std::size_t unanswered = 0; ///< all messages that wait for their answer, timed or not
    request_turns turns;
    unsigned status = 0; ///< the status that the gateway ends the stream with; 0: it does not end it
    ngx_str_t sentence{};
};

/// Returns the request's stream, or null if out of memory.
grpc_stream *begin_stream(ngx_http_request_t *r) noexcept;

/// Notes a message from the client.
void note_message(grpc_stream &stream) noexcept;

/// Notes a message from the server; `failed` if it contains an error.
void note_answer(grpc_stream &stream, bool failed) noexcept;

/// Ends the stream in the next turn of the event loop, whatever has been sent by then. To be called once.
void end_stream(grpc_stream &stream, unsigned status, std::string_view sentence) noexcept;

/// Runs a content handler that considers the request's body read: the rest of a stream is passed on as it arrives.
ngx_int_t run_content(ngx_http_request_t *r, ngx_http_handler_pt content) noexcept;

} // namespace rollout
