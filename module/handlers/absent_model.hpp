// The answer for a model that has no route.
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/ngx.hpp"

#include <string_view>

namespace rollout {

/// Returns a 404 that says where to look next: the deletion that removed the model, if the table holds it, or else
/// the latest deployment.
problem absent_model(ngx_http_request_t *r, std::string_view model_id);

} // namespace rollout
