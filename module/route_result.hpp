// What became of a request that rollout_route sent to a revision: in flight until the request's end, its result counted for
// the metrics, and for the gate where a rollout watches.
#pragma once

#include "module/ngx.hpp"
#include "module/meter_table.hpp"

#include <cstdint>

namespace rollout {

/// Kept in the request's pool, with `leave_flight` as its cleanup: it outlives an internal redirect.
struct counted_request {
    std::uint64_t revision_key;
    std::uint32_t place; ///< among those in flight
    bool watched;
    slot which;
    meter_place meter;
};

/// What is in flight ends with the request's pool, whatever else becomes of the request.
void leave_flight(void *data) noexcept;

/// The log phase's handler: by the request's last upstream, so that an error_page over a failure does not hide it.
ngx_int_t count_result(ngx_http_request_t *r) noexcept;

} // namespace rollout
