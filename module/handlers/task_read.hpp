// Reads of one task: GET /deploy/{task_id}, GET /deploy-status/{model_id}, and the same for deletions.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Answers from the table, or asks rolloutd if the table may not hold the task. Returns NGX_DONE if the answer comes
/// later, over the link; any other result is for ngx_http_finalize_request.
ngx_int_t read_task(pending_request &request);

} // namespace rollout
