// Asks a server that speaks KServe v2 which of its models are loaded: with one call for its repository index, or, if it
// has none, one for the readiness of each model.
#pragma once

#include "worker/backend/backend.hpp"
#include "worker/backend/triton/request_sequence.hpp"

#include <functional>
#include <string>
#include <vector>

namespace rollout {

struct probe_request {
    std::string url;
    std::string server; ///< for messages
    std::vector<std::string> models;
    std::function<void()> no_index; ///< called if the server turns out to have no repository index
};

/// Once a server stops answering, the remaining models are not asked about and are `unknown`; so are all after a cancel.
operation_ptr probe_models(server_access access, probe_request request, probed_fn done);

} // namespace rollout
