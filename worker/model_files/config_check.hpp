// A model configuration that a client sends along (config.triton), for the server's load call. It may say how the model runs,
// not where else on the server's machine to look: such strings lead out of what artifacts.allow allows.
#pragma once

#include "worker/base/json_reader.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Adds a fault for each string, at whatever depth, that could lead out of the model's own folder, be it a value or a member's
/// name: what holds `..` as a component, an absolute path (at its begin, or behind a separator: `--plugin=/x.so`), a
/// backslash, a URL or `file:`, what a shell would expand (`~`, `$HOME`, `${HOME}`, `%HOME%`) or a NUL. A name of a backend, of a
/// runtime or of a platform has no slash at all. `$$TRITON_MODEL_DIRECTORY` at a string's begin stands for the model's own folder.
/// Tensors have names that only must not climb: "/encoder/ids", "input/ids:0". Agents of the repository are the operator's.
void check_server_config(const json_t *config, const std::string &pointer, std::vector<json_fault> &faults);

} // namespace rollout
