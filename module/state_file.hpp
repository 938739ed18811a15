// The last known routes on disk (`rollout_zone … state=FILE`), so that an nginx restarted while rolloutd is away still
// routes. A JSON object: {"format": "rollout-routes", "version": 1, "journal": …, "revision": N, "routes": […]}.
#pragma once

#include "module/ngx.hpp"

#include <string>

namespace rollout {

class shared_zone;

/// Reads the routes into fresh memory, and removes what killed processes have left beside the file. A missing file is none; a damaged or foreign one is reported and left aside. In
/// nginx's master process, before there are others.
void read_state_file(shared_zone &zone, ngx_log_t *log);

/// The file's text for the routes as they are; under the writers' lock.
std::string render_state(const shared_zone &zone);

/// Writes the text beside the file, syncs it and renames. When that fails, the file that was there is removed, or emptied: nobody shall
/// take it for the newest. Returns false then, and logs why unless that was `told` already. In the worker process that holds the
/// link, which is why its user needs to write to the file's folder.
bool write_state_file(const shared_zone &zone, const std::string &text, ngx_log_t *log, bool told = false) noexcept;

} // namespace rollout
