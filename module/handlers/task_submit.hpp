// A new task: POST /deploy and POST /delete.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Checks the body once it has been read, and submits the task to rolloutd. Returns NGX_DONE if the answer comes
/// later, over the link; any other result is for ngx_http_finalize_request.
ngx_int_t submit(pending_request &request);

} // namespace rollout
