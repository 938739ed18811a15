// GET of a deployment's series.
#pragma once

#include "module/handlers/pending_request.hpp"

namespace rollout {

/// Asks rolloutd, which alone has it, and answers. The result is for ngx_http_finalize_request, or NGX_DONE.
ngx_int_t read_series(pending_request &request);

} // namespace rollout
