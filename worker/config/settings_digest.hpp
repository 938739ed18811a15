// What the hosts of a cluster must have in common in their rolloutd.json, as a text that is short enough for a host's record.
#pragma once

#include "worker/config/settings.hpp"

#include <string>

namespace rollout {

/// Returns `backends:c0ffee… limits:… models:… rollout:…`: a digest of what the file contains for each; a member that is
/// missing is as one that is empty. The order of members and white space do not matter; a default that is written out does.
std::string digest_of_shared(const settings &from);

} // namespace rollout
