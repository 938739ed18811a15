// Checks a model configuration that a client sends along (config.triton) for the server's load call. It may say how the
// model runs, but not where else on the server's machine to read files: such strings lead out of what artifacts.allow
// allows.
#pragma once

#include "worker/base/json_reader.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Adds a fault for each string, at any depth, that could lead out of the model's own folder, both in values and in
/// members' names: a string with a `..` component, an absolute path (at its beginning, or after a separator:
/// `--plugin=/x.so`), a backslash, a URL or `file:`, something that a shell would expand (`~`, `$HOME`, `${HOME}`,
/// `%HOME%`), or a NUL. The name of a backend, a runtime or a platform must not contain a slash at all.
/// `$$TRITON_MODEL_DIRECTORY` at the beginning of a string stands for the model's own folder. Names of tensors may
/// contain slashes ("/encoder/ids", "input/ids:0"), but no `..` components. Repository agents are the operator's matter.
void check_server_config(const json_t *config, const std::string &pointer, std::vector<json_fault> &faults);

} // namespace rollout
