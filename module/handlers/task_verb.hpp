// A client's verb for a task: POST /deploy/{task_id}/VERB.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Passes the verb on to rolloutd, once the body is in. NGX_DONE: the answer comes later, over the link; else the result is for
/// ngx_http_finalize_request.
ngx_int_t steer(pending_request &request);

} // namespace rollout
