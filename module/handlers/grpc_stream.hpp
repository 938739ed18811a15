// A stream of gRPC requests (ModelStreamInfer): its first message decides the route, and all of it stays with that revision.
//
// A message that names another model ends the stream with a status, and so does a revision that no route names any more: then as soon as
// no message waits for its answer. Each message counts for the gate with its first answer.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/nginx/request_turns.hpp"

#include <array>
#include <string_view>

namespace rollout {

/// In the request's pool.
struct grpc_stream {
    /// Messages that wait for an answer and are timed; more than that are not.
    static constexpr std::size_t timed_most = 64;

    ngx_http_request_t *request = nullptr;
    grpc_stream *previous = nullptr; ///< of this process's streams; null off the list
    grpc_stream *next = nullptr;
    std::array<ngx_msec_t, timed_most> asked_at{}; ///< a ring, in ngx_current_msec's time
    std::size_t first = 0;
    std::size_t waiting = 0;
    request_turns turns;
    unsigned status = 0; ///< what the gateway ends it with; 0: it does not
    ngx_str_t sentence{};
};

/// The request's stream; null when memory is out.
grpc_stream *begin_stream(ngx_http_request_t *r) noexcept;

/// A message has come from the client.
void note_message(grpc_stream &stream) noexcept;

/// A message has come from the server, `failed`: with an error in it.
void note_answer(grpc_stream &stream, bool failed) noexcept;

/// Ends the stream in the next turn of the event loop, whatever has been sent. Once.
void end_stream(grpc_stream &stream, unsigned status, std::string_view sentence) noexcept;

/// Runs a content handler that takes the request's body as read: what has not come yet of a stream is passed on as it comes.
ngx_int_t run_content(ngx_http_request_t *r, ngx_http_handler_pt content) noexcept;

} // namespace rollout
