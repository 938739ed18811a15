// rollout_metrics: the counters of the gateway and of rolloutd, in Prometheus' text format.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// The content handler of a location with rollout_metrics: sends the counters in shared memory, and those of rolloutd
/// while it can be asked.
ngx_int_t handle_metrics(ngx_http_request_t *r) noexcept;

} // namespace rollout
