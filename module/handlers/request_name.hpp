// The model's name in a request's body: read before the choice, and the revision's name on the server written in its place, on the way
// into nginx's own buffers and temporary files. All that comes after finds the body as the server is to have it.
//
// rollout_grpc and rollout_json_model say where in the body the name is. The body is read once access control is past, and before the
// content handler, which takes it as it is; the choice is made as soon as the name is there.
#pragma once

#include "module/messages/grpc_name.hpp"
#include "module/nginx/body_rewriter.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

struct grpc_stream;

/// In the request's pool.
struct named_body {
    named_body(name_reader *of, body_rewriter::settings how) noexcept : reader(of), body(of, how) {}

    name_reader *reader;
    body_rewriter body;
    ngx_str_t name{};         ///< the client's; empty until it is there
    std::string_view backend; ///< what stands in its place
    bool is_in = false;       ///< the body has been read
    bool is_begun = false;    ///< the request has gone on from reading it
    bool is_dropped = false;  ///< what comes of it is for nobody
    bool is_grpc = false;
    grpc_stream *stream = nullptr; ///< the body is a stream of messages, of which the first names the model
    const message_fault *fault = nullptr;
    const ngx_http_request_body_t *whole = nullptr; ///< the body as it was written, once it is in
};

/// Whether a gRPC request is a stream of messages, by its method.
grpc_call call_of(const ngx_http_request_t &r) noexcept;

/// The body of the request, or of the one that it belongs to, that a name is read from; null without one.
named_body *named_body_of(const ngx_http_request_t *r) noexcept;

/// Reads the body of a main request in a location that has its name there, and goes on with the request's phases then. What comes back
/// is for nginx's phase; NGX_DECLINED: no body is read.
ngx_int_t read_named_body(ngx_http_request_t *r) noexcept;

/// The request has another choice than the one that its body was written for: gives it a body of its own. False if that is not
/// possible.
bool rename_body(ngx_http_request_t *r, std::string_view backend) noexcept;

/// Puts the filter before all others.
void install_request_names() noexcept;

/// Registers $rollout_grpc_model and $rollout_json_model.
ngx_int_t add_name_variables(ngx_conf_t *cf) noexcept;

/// Once all directives are read: where nginx keeps the body's length, if some directive uses it.
void find_length_variable(ngx_conf_t *cf) noexcept;

} // namespace rollout
