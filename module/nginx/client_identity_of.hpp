// The identity of a client that asks for a change, as nginx knows it.
#pragma once

#include "common/domain/client_identity.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

/// Returns the address, the user and the verified certificate of the request's client.
client_identity client_identity_of(ngx_http_request_t *r);

} // namespace rollout
