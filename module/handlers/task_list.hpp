// Lists of tasks and of models, which only rolloutd holds: GET /deploy, /delete and /models.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Asks rolloutd for the page. Returns NGX_DONE if the answer comes later, over the link; any other result is for
/// ngx_http_finalize_request.
ngx_int_t list(pending_request &request);

} // namespace rollout
