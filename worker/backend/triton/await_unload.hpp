// Unloads a model and waits until its server says that it is gone: the answer to the unload only says that it has begun.
#pragma once

#include "worker/backend/triton/index_poller.hpp"

#include <functional>

namespace rollout {

struct unload_request : polled_model {
    /// For a polling server, used instead of the unload call: moves the files out of its sight, on a thread, once the
    /// server is not reading them; then the model must also report that it is not ready. Null: make the call.
    blocking_fn withdraw;
};

/// Ok once the server's index shows no version of the model loaded, loading or unloading, or, without an index, once the
/// model is no longer ready. A server that cannot be reached is asked again until the time is over, which is a transient
/// failure.
operation_ptr await_unload(server_access access, const unload_request &request, done_fn done);

} // namespace rollout
