// rollout_api: the six routes. Takes HTTP requests, returns documents and problems.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// The content handler of a location with rollout_api.
ngx_int_t handle_api(ngx_http_request_t *r) noexcept;

} // namespace rollout
