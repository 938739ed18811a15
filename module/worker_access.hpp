// Warns, when the configuration is tested, of access that the user of nginx's worker processes lacks.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

struct main_settings;

/// Warns of a state file that cannot be written, and of an existing socket that the worker processes cannot connect
/// to. Runs in nginx's master process; does nothing unless the master runs as root and its workers as another user.
/// Checks only owners and modes.
void warn_of_denied_access(ngx_cycle_t *cycle, const main_settings &settings) noexcept;

} // namespace rollout
