// Does work for a request one step in each turn of nginx's event loop, so that other requests are served between the
// steps of long work.
#pragma once

#include "module/nginx/ngx.hpp"

#include <optional>

namespace rollout {

/// In the request's pool. One kind of work at a time.
struct request_turns {
    /// Does one step. Returns nothing if there are more. Otherwise the work is done, and the result is for
    /// ngx_http_finalize_request, or NGX_DONE if the request continues by other means. Throws nothing.
    using step_fn = std::optional<ngx_int_t> (*)(request_turns &turns);

    ngx_http_request_t *r = nullptr;
    void *work = nullptr; ///< for the step
    step_fn step = nullptr;
    ngx_event_t event{};
    bool ends_with_request = false;
};

/// Runs the first step in the next turn, for a request that is held (its count is one higher for that). If the
/// request ends earlier, no further step runs. Returns false if out of memory.
bool begin_turns(request_turns &turns, ngx_http_request_t *r, void *work, request_turns::step_fn step) noexcept;

} // namespace rollout
