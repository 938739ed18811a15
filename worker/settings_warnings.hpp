// What of the configuration may not work on this machine, as it is now.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// What is accepted and may not work, a sentence each: folders and programs that are missing, a source that is not allowed, a
/// repository of two backends, a gate that cannot see what it is to judge. Looks at the disk.
std::vector<std::string> warnings_about(const settings &from);

} // namespace rollout
