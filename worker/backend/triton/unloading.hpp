// Unloads a model and waits until its server says that it is gone: the answer to the unload itself says only that it begins.
#pragma once

#include "worker/backend/triton/watching.hpp"

#include <functional>

namespace rollout {

struct unload_request : watched_model {
    /// For a server that polls, in the place of the call: takes the files out of its sight, on a thread, once it does not
    /// read them; then the model must also say that it is not ready. Null: the call.
    std::function<outcome(const stop_flag &)> withdraw;
};

/// Ok once the server's index shows no version of the model loaded or on its way, or, without an index, once the model is not
/// ready any more. A server that cannot be asked meanwhile is asked again until the time is over, which is transient.
operation_ptr unload_and_wait(http_client &http, clock &time, const unload_request &request, done_fn done);

} // namespace rollout
