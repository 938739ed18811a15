// What the user of nginx's worker processes will not be allowed to do: said when the configuration is tested.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

struct main_settings;

/// Warns of a state file that cannot be written and of a socket that is there and closed to them. In nginx's master process; says
/// nothing unless that is root's, whose worker processes are another user's. Goes by owners and modes, as far as these tell.
void warn_of_denied_access(ngx_cycle_t *cycle, const main_settings &settings) noexcept;

} // namespace rollout
