// rollout_route: the choice for a request, the variables that carry it, and the count of requests in flight.
#pragma once

#include "module/ngx.hpp"

namespace rollout {

/// Registers $rollout_upstream, $rollout_backend_model, $rollout_slot and $rollout_revision.
ngx_int_t add_route_variables(ngx_conf_t *cf) noexcept;

/// The handler of the precontent phase: chooses, if no variable has made it choose before, and answers 404 for a model
/// that has no route. While the routes are not known yet, and rolloutd is about to bring them, the request is held. Access
/// control comes first: who may not ask learns nothing of the models.
ngx_int_t handle_route(ngx_http_request_t *r) noexcept;

} // namespace rollout
