// Reloading rolloutd.json at run time (SIGHUP): what can change, what requires a restart, and what has changed.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Replaces what cannot change at run time (`listen`, `journal.path`) in `wanted` with the values of `running`. Returns
/// the pointers of the members that were to change.
std::vector<std::string> keep_what_takes_a_restart(const settings &running, settings &wanted);

/// Returns the differences, for the log: `limits, 1 backend added, 2 entries of models changed`; `nothing` if there are
/// none. Compares what the files contain: writing out a default is a change.
std::string changes_between(const settings &before, const settings &after);

/// Returns whether both files have the same members for that backend.
bool is_same_backend(const settings &before, const settings &after, const std::string &name);

} // namespace rollout
