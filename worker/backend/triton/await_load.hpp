// Waits for a load by a server that polls its repository (Triton's --model-control-mode=poll): nobody asks it to load a model.
#pragma once

#include "worker/backend/triton/index_poller.hpp"

#include <functional>

namespace rollout {

struct load_request : polled_model {
    blocking_fn put_in; ///< first, on a thread: makes sure that the files are in place
};

/// Ok once the server's index shows the model READY, or, without an index, once the model says that it is ready. Permanent
/// if the index says that its load failed, and when the time is over. A failure that the index has at first may be that of an
/// earlier model by this name: it counts once it has stood for longer than a server takes between two polls.
operation_ptr await_load(server_access access, const load_request &request, done_fn done);

} // namespace rollout
