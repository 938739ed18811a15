// Handles model names in request bodies: reads the name before the choice is made, and writes the revision's name on
// the server in its place, as the body goes into nginx's own buffers and temporary files. All later code sees the
// body as the server is to receive it.
//
// rollout_grpc and rollout_json_model say where in the body the name is. The body is read after access control and
// before the content handler, which takes it as it is. The choice is made as soon as the name has been read.
#pragma once

#include "module/messages/grpc_name.hpp"
#include "module/nginx/body_rewriter.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

struct grpc_stream;

/// In the request's pool.
struct named_body {
    named_body(name_reader *of, body_rewriter::settings options) noexcept : reader(of), body(of, options) {}

    name_reader *reader;
    body_rewriter body;
    ngx_str_t name{};         ///< the client's name; empty until it has been read
    std::string_view backend; ///< the name written in its place
    bool is_in = false;       ///< the body has been read
    bool is_begun = false;    ///< the request has continued after reading it
    bool is_dropped = false;  ///< the rest of the body is dropped
    bool is_grpc = false;
    bool has_many = false;         ///< several names have been replaced, in a stream's messages
    grpc_stream *stream = nullptr; ///< the body is a stream of messages; the first one names the model
    const message_fault *fault = nullptr;
    const ngx_http_request_body_t *whole = nullptr; ///< the whole body as it was written, once it is complete
};

/// Returns whether a gRPC request is a stream of messages, judging by its method.
grpc_call call_of(const ngx_http_request_t &r) noexcept;

/// Returns the body from which the name of the request, or of its main request, is read; null if there is none.
named_body *named_body_of(const ngx_http_request_t *r) noexcept;

/// Reads the body of a main request in a location whose names are in bodies, then resumes the request's phases.
/// Returns the result for nginx's phase; NGX_DECLINED if no body is to be read.
ngx_int_t read_named_body(ngx_http_request_t *r) noexcept;

/// Gives the request its own copy of the body, for another choice than the body was written for. Returns false if
/// that is impossible.
bool rename_body(ngx_http_request_t *r, std::string_view backend) noexcept;

/// Puts the filter before all others.
void install_request_names() noexcept;

/// Registers $rollout_grpc_model and $rollout_json_model.
ngx_int_t add_name_variables(ngx_conf_t *cf) noexcept;

/// Finds, after all directives have been read, where nginx keeps the body's length, if a directive uses it.
void find_length_variable(ngx_conf_t *cf) noexcept;

} // namespace rollout
