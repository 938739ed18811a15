// Warnings about settings that may not work on this machine in its current state.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Returns a sentence for each setting that is accepted but may not work: missing folders and programs, a source that
/// is not allowed, a repository shared by two backends, a gate that cannot detect what it is to judge. Reads the
/// disk.
std::vector<std::string> warnings_about(const settings &from);

} // namespace rollout
