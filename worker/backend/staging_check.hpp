// Whether a configuration's backends can be staged to, looked at before there is anything to stage.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// What is found of one configuration.
struct staging_findings {
    std::vector<json_fault> faults;    ///< nothing can come into a backend's repository (`/backends/default/staging`)
    std::vector<std::string> warnings; ///< this process may not write there, which the service's own user may
};

/// Looks at every backend that has a repository which is there. Blocks.
staging_findings check_staging(const settings &of);

} // namespace rollout
