// `rolloutd --import`: moves the journal of one host into etcd, where it is that of several.
#pragma once

#include "worker/config/settings.hpp"

#include <uv.h>

#include <string>

namespace rollout {

/// Moves the journal in that file into the etcd of the configuration, and logs how far it is and why it could not. The file
/// is left as it is. Runs the loop. Returns the process's exit status: that of a permanent error if another attempt does
/// not help before something is changed.
int import_journal(uv_loop_t *loop, const settings &config, const std::string &path);

} // namespace rollout
