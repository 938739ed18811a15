// A request's body as the API reads it: JSON, in memory, wherever nginx has put it.
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/ngx.hpp"

#include <string>

namespace rollout {

/// Checks that the body is declared as JSON. Returns a problem (415) with a detail if it is not.
problem check_content(ngx_http_request_t *r);

/// Collects the body that ngx_http_read_client_request_body has read, from memory or from its temporary file. Returns
/// a problem with a detail if it is over limits::body_bytes (client_max_body_size may allow more), or if the file
/// cannot be read.
problem read_body(ngx_http_request_t *r, std::string &body);

} // namespace rollout
