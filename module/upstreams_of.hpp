// Reads the upstreams out of nginx's configuration.
#pragma once

#include "module/link/known_upstreams.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

/// Returns those of the configuration in force.
known_upstreams upstreams_of(ngx_cycle_t *cycle);

} // namespace rollout
