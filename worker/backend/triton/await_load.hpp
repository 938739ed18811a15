// Waits for a load by a server that polls its repository (Triton's --model-control-mode=poll) and is not asked to load a
// model.
#pragma once

#include "worker/backend/triton/index_poller.hpp"

#include <functional>

namespace rollout {

struct load_request : polled_model {
    blocking_fn put_in; ///< runs first, on a thread: makes sure that the files are in place
};

/// Ok once the server's index shows the model READY, or, without an index, once the model reports itself ready. Permanent
/// if the index says that the load has failed, and when the time is over. A failure that the index shows from the start
/// may be that of an earlier model of the same name: it counts once it has lasted longer than the server's interval
/// between two polls.
operation_ptr await_load(server_access access, const load_request &request, done_fn done);

} // namespace rollout
