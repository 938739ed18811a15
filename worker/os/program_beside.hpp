// Another program of the same installation.
#pragma once

#include <string>

namespace rollout {

/// Replaces this process by the program of that name in the folder of this one: the same process id, arguments, environment
/// and open descriptors. Returns only if that cannot be: why, with the program's path.
std::string become_program_beside(const std::string &name, char **arguments);

} // namespace rollout
