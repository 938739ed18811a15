// gRPC's statuses: what an answer's is, how one is sent without an inference server, and what nginx's own pages become for a gRPC client.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

/// Those that are named here; the numbers are gRPC's (doc/statuscodes.md).
enum class grpc_status : std::uint8_t {
    ok = 0,
    cancelled = 1,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    permission_denied = 7,
    resource_exhausted = 8,
    failed_precondition = 9,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    data_loss = 15,
    unauthenticated = 16,
};

/// Does the request's Content-Type say so, and is it HTTP/2?
bool is_grpc_request(const ngx_http_request_t *r) noexcept;

/// The status that the upstream has sent, in trailers or, with no message, in headers; nothing before it has.
std::optional<unsigned> grpc_status_of(const ngx_http_upstream_t &upstream) noexcept;

/// What the request's client waits for, in milliseconds (grpc-timeout); nothing if it does not say.
std::optional<std::uint64_t> grpc_timeout_ms(ngx_http_request_t *r) noexcept;

/// As gRPC's specification encodes grpc-message: all but printable ASCII, and the percent sign. Null data when memory is out.
ngx_str_t encode_grpc_message(ngx_pool_t *pool, std::string_view message) noexcept;

/// What HTTP's status is as a gRPC one.
unsigned grpc_status_of_http(unsigned status) noexcept;

/// Sends a status with a sentence and no message, as headers alone. The result is for ngx_http_finalize_request.
ngx_int_t send_grpc_status(ngx_http_request_t *r, unsigned status, std::string_view message) noexcept;

/// Puts the filter before all others that turns what is not gRPC's 200 into a status, in locations with rollout_grpc.
void install_grpc_status() noexcept;

/// Registers $rollout_grpc_status.
ngx_int_t add_grpc_status_variable(ngx_conf_t *cf) noexcept;

} // namespace rollout
