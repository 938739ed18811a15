// A look at the models of a server that speaks KServe v2: one call for its repository index, or, where it has none, one for the
// readiness of each model.
#pragma once

#include "worker/backend/backend.hpp"
#include "worker/net/http_client.hpp"

#include <functional>
#include <string>
#include <vector>

namespace rollout {

struct survey_request {
    std::string url;
    std::string server; ///< for sentences
    std::vector<std::string> models;
    std::function<void()> no_index; ///< called where the server turns out to have no repository index
};

/// A server that stops answering is not asked for the rest, which are `unknown`; so are all after a cancel.
operation_ptr survey_models(http_client &http, clock &time, survey_request request, surveyed_fn done);

} // namespace rollout
