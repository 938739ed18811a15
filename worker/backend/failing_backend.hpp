// A backend whose calls a test lets fail (worker/base/failpoint.hpp): "backend:load:before", where nothing is done, and
// "backend:load:after", where all is done and the answer is lost. A build without failpoints has the backend itself.
#pragma once

#include "worker/backend/backend.hpp"

#include <uv.h>

#include <memory>

namespace rollout {

#ifdef ROLLOUT_FAILPOINTS

/// The loop must outlive the backend that is made.
std::shared_ptr<backend> with_failpoints(uv_loop_t *loop, std::shared_ptr<backend> of);

#else

inline std::shared_ptr<backend> with_failpoints(uv_loop_t *, std::shared_ptr<backend> of)
{
    return of;
}

#endif

} // namespace rollout
