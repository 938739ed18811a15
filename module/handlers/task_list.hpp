// Lists of tasks and of models, which rolloutd alone has: GET /deploy, /delete and /models.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Asks rolloutd for the page. NGX_DONE: the answer comes later, over the link; else the result is for ngx_http_finalize_request.
ngx_int_t list(pending_request &request);

} // namespace rollout
