// rollout_metrics: what the gateway and rolloutd count, in Prometheus' text format.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// The content handler of a location with rollout_metrics: what is in the shared memory, and what rolloutd says of itself
/// as long as it can be asked.
ngx_int_t handle_metrics(ngx_http_request_t *r) noexcept;

} // namespace rollout
