// rolloutd.json read again while rolloutd runs (SIGHUP): what may change then, what takes a restart, what did change.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Puts what cannot change at run time (`listen`, `journal.path`) into `wanted` as `running` has it. Returns the pointers
/// of the members that were to change.
std::vector<std::string> keep_what_takes_a_restart(const settings &running, settings &wanted);

/// What differs, for the log: `limits, 1 backend added, 2 entries of models changed`; `nothing` where nothing does. Counts what the
/// files say: a default that is written out is a change.
std::string changes_between(const settings &before, const settings &after);

/// Do both files say the same of that backend?
bool is_same_backend(const settings &before, const settings &after, const std::string &name);

} // namespace rollout
