// What became of a request that rollout_route sent to a revision: in flight until the request's end, its result counted for
// the metrics, and for the gate where a rollout watches.
#pragma once

#include "module/ngx.hpp"
#include "module/meter_table.hpp"

#include <cstdint>

namespace rollout {

/// Kept in the request's pool, with `leave_flight` as its cleanup: it outlives an internal redirect.
struct counted_request {
    const ngx_http_request_t *request; ///< a pool is its subrequests' as well
    std::uint64_t revision_key;
    std::uint32_t place; ///< among those in flight
    bool watched;
    slot which;
    meter_place meter;
    bool is_counted;
};

/// Makes the cleanup, added for it, the count of its request, in place of what that has chosen before an internal redirect.
void count_in_flight(ngx_pool_cleanup_t *cleanup, const counted_request &choice) noexcept;

/// What is in flight ends with the request's pool, whatever else becomes of the request.
void leave_flight(void *data) noexcept;

/// The log phase's handler: by the request's last upstream, so that an error_page over a failure does not hide it. With the
/// main request go its subrequests that went to a model: most of them have no log phase of their own.
ngx_int_t count_result(ngx_http_request_t *r) noexcept;

} // namespace rollout
