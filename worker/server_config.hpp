// A model configuration that a client sends along (config.triton), for the server's load call. It may say how the model runs,
// not where else on the server's machine to look: such members lead out of what artifacts.allow allows.
#pragma once

#include "worker/json_reader.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Adds a fault for each file, library or agent that is named outside of the model's own folder. The members are those of
/// Triton's ModelConfig (model_config.proto).
void check_server_config(const json_t *config, const std::string &pointer, std::vector<json_fault> &faults);

} // namespace rollout
