// gRPC statuses: reads the status of an answer, sends one without an inference server, and turns nginx's own error
// pages into one for a gRPC client.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

/// The statuses that the code names; the numbers are gRPC's (doc/statuscodes.md).
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

/// Returns whether the request is HTTP/2 and its Content-Type is gRPC's.
bool is_grpc_request(const ngx_http_request_t *r) noexcept;

/// Returns the status that the upstream has sent, in trailers or, if there is no message, in headers. Nothing until
/// then.
std::optional<unsigned> grpc_status_of(const ngx_http_upstream_t &upstream) noexcept;

/// Returns the client's deadline in milliseconds (grpc-timeout), or nothing if it sets none.
std::optional<std::uint64_t> grpc_timeout_ms(ngx_http_request_t *r) noexcept;

/// Encodes a grpc-message as gRPC's specification says: escapes the percent sign, and all but printable ASCII. The
/// data is null if out of memory.
ngx_str_t encode_grpc_message(ngx_pool_t *pool, std::string_view message) noexcept;

/// Returns the gRPC status for an HTTP status.
unsigned grpc_status_of_http(unsigned status) noexcept;

/// Sends a status with a sentence, as headers only, without a message. The result is for ngx_http_finalize_request.
ngx_int_t send_grpc_status(ngx_http_request_t *r, unsigned status, std::string_view message) noexcept;

/// Installs the filter, before all others, that turns any answer other than gRPC's 200 into a status, in locations
/// with rollout_grpc.
void install_grpc_status() noexcept;

/// Registers $rollout_grpc_status.
ngx_int_t add_grpc_status_variable(ngx_conf_t *cf) noexcept;

} // namespace rollout
