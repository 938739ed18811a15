// A request's body as the API takes it: JSON, in memory, wherever nginx has put it.
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/ngx.hpp"

#include <string>

namespace rollout {

/// Is the body announced as JSON? A problem (415) with a detail where it is not.
problem check_content(ngx_http_request_t *r);

/// Collects the body that ngx_http_read_client_request_body has read, from memory or from its temporary file. A problem
/// with a detail when it is over limits::body_bytes (client_max_body_size may allow more) or the file cannot be read.
problem read_body(ngx_http_request_t *r, std::string &body);

} // namespace rollout
