// A server that looks at its repository by itself (Triton's --model-control-mode=poll): nobody asks it to load a model, one
// waits until it has found the files.
#pragma once

#include "worker/backend/triton/watching.hpp"

#include <functional>

namespace rollout {

struct arrival_request : watched_model {
    std::function<outcome(const stop_flag &)> put_in; ///< first, on a thread: makes sure that the files are in place
};

/// Ok once the server's index shows the model READY, or, without an index, once the model says that it is ready. Permanent
/// where the index says that its load failed, and when the time is over. A failure that the index had at the first look may be
/// that of an earlier model by this name: it counts once it has stood for longer than a server takes between two looks.
operation_ptr await_arrival(http_client &http, clock &time, const arrival_request &request, done_fn done);

} // namespace rollout
