// Writes the client's name of the model into answers, in place of the revision's name on the inference server:
// `model_name` of KServe's inferences, `name` of a model's metadata. Replaces only a string that is the revision's
// name on the server.
//
// In a JSON answer the name is overwritten, and padded with spaces if the client's is shorter: Content-Length,
// Inference-Header-Content-Length and a binary tail stay as they are.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// Puts the filters before all others.
void install_answer_names() noexcept;

} // namespace rollout
