// Who asks for a change, as nginx knows it.
#pragma once

#include "common/domain/requester.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

/// Address, user and verified certificate of the request's client.
requester requester_of(ngx_http_request_t *r);

} // namespace rollout
