// A client's verb for a task: POST /deploy/{task_id}/VERB.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Passes the verb on to rolloutd once the body has been read. Returns NGX_DONE if the answer comes later, over the
/// link; any other result is for ngx_http_finalize_request.
ngx_int_t steer(pending_request &request);

} // namespace rollout
