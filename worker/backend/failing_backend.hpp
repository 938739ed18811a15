// A backend whose calls a test can make fail (worker/base/failpoint.hpp): at "backend:load:before" nothing is done; at
// "backend:load:after" everything is done, but the answer is lost. A build without failpoints returns the backend itself.
#pragma once

#include "worker/backend/backend.hpp"

#include <uv.h>

#include <memory>

namespace rollout {

#ifdef ROLLOUT_FAILPOINTS

/// The loop must outlive the returned backend.
std::shared_ptr<backend> with_failpoints(uv_loop_t *loop, std::shared_ptr<backend> of);

#else

inline std::shared_ptr<backend> with_failpoints(uv_loop_t *, std::shared_ptr<backend> of)
{
    return of;
}

#endif

} // namespace rollout
