// The calls of the KServe v2 protocol (Open Inference Protocol) and its model repository extension, and what answers mean.
#pragma once

#include "common/base/json.hpp"
#include "worker/net/http_client.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace rollout::kserve {

/// `url` is `http://host:port`; `model` is encoded as one component of a path.
http_request ready(const std::string &url, std::string_view model);
http_request index(const std::string &url);
/// `config` (may be null) is a model configuration for this load; a `name` in it is set to the model's.
http_request load(const std::string &url, std::string_view model, const json_t *config,
                  std::chrono::milliseconds timeout);
http_request unload(const std::string &url, std::string_view model, std::chrono::milliseconds timeout);
http_request infer(const std::string &url, std::string_view model, const json_t *request,
                   std::chrono::milliseconds timeout);

/// Of a load or an unload. A page with a 200 is not the server's.
bool is_done(const http_answer &answer);

enum class readiness {
    ready,
    not_ready, ///< it does not serve: not there, or not yet
    unclear,   ///< no answer of the server's, or none about the model: nothing may be decided by it
};

/// Of `ready`: some servers say no with a 200, and a proxy's page is no answer whatever its status.
readiness readiness_of(const http_answer &answer);

/// Of `index`: this server does not have one.
bool lacks_index(const http_answer &answer) noexcept;

/// Of `infer`: is it an object with an array `outputs` that is not empty? Binary data may follow the JSON.
bool has_outputs(std::string_view body);

} // namespace rollout::kserve
