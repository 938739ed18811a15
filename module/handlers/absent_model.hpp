// What a client is told that asks a model which has no route.
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/ngx.hpp"

#include <string_view>

namespace rollout {

/// A 404 that says where to look: at the deletion that took the model away, if the table holds it, or else at the latest deployment.
problem absent_model(ngx_http_request_t *r, std::string_view model_id);

} // namespace rollout
