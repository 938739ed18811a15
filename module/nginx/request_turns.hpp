// Work on a request a step in each turn of nginx's event loop: what is long is done in pieces, and other requests are served between
// them.
#pragma once

#include "module/nginx/ngx.hpp"

#include <optional>

namespace rollout {

/// In the request's pool. One kind of work at a time.
struct request_turns {
    /// A step. Nothing: there are more. Else the work is done, and that is for ngx_http_finalize_request, or NGX_DONE when the request
    /// goes on by other means. Throws nothing.
    using step_fn = std::optional<ngx_int_t> (*)(request_turns &turns);

    ngx_http_request_t *r = nullptr;
    void *work = nullptr; ///< the step's own
    step_fn step = nullptr;
    ngx_event_t event{};
    bool ends_with_request = false;
};

/// The first step comes with the next turn. Of a request that is held (its count is one up for that). It may end meanwhile; then no
/// step comes any more. False when memory is out.
bool begin_turns(request_turns &turns, ngx_http_request_t *r, void *work, request_turns::step_fn step) noexcept;

} // namespace rollout
