// Answers name the model as the client does, not as the inference server knows its revision: `model_name` of KServe's inferences, `name`
// of a model's metadata. Only a string that is the revision's name on the server is replaced.
//
// In an answer of JSON the name is overwritten, and spaces follow if the client's is shorter: Content-Length,
// Inference-Header-Content-Length and a binary tail stay as they are.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// Puts the filters before all others.
void install_answer_names() noexcept;

} // namespace rollout
