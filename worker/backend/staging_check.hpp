// Checks whether the backends of a configuration can be staged to, before there is anything to stage.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// The findings for one configuration.
struct staging_findings {
    std::vector<json_fault> faults;    ///< nothing can get into a repository (`/backends/default/staging`)
    std::vector<std::string> warnings; ///< this process may not write there, but the service's own user might
};

/// Checks every backend whose repository exists. Blocks.
staging_findings check_staging(const settings &of);

} // namespace rollout
