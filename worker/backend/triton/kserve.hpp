// The calls of the KServe v2 protocol (Open Inference Protocol) and of its model repository extension, and the meaning of
// their answers.
#pragma once

#include "common/base/json.hpp"
#include "worker/net/http_client.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace rollout::kserve {

/// `url` is `http://host:port`; `model` is encoded as one path component.
http_request ready(const std::string &url, std::string_view model);
http_request index(const std::string &url);
/// `config` (may be null) is a model configuration for this load; a `name` in it is set to the model's.
http_request load(const std::string &url, std::string_view model, const json_t *config,
                  std::chrono::milliseconds timeout);
http_request unload(const std::string &url, std::string_view model, std::chrono::milliseconds timeout);
http_request infer(const std::string &url, std::string_view model, const json_t *request,
                   std::chrono::milliseconds timeout);

/// For a load or an unload. An HTML page with status 200 is not the server's answer.
bool is_done(const http_answer &answer);

enum class readiness {
    ready,
    not_ready, ///< it does not serve: it is not there, or not ready yet
    unclear,   ///< no answer from the server, or not about the model: nothing may be concluded from it
};

/// For `ready`: some servers say no with a 200, and a proxy's page is no answer whatever its status.
readiness readiness_of(const http_answer &answer);

/// For `index`: returns whether this server lacks an index.
bool lacks_index(const http_answer &answer) noexcept;

/// For `infer`: returns whether the body is an object with a non-empty array `outputs`. Binary data may follow the JSON.
bool has_outputs(std::string_view body);

} // namespace rollout::kserve
