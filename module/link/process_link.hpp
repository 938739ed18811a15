// The link of a worker process, for the lifetime of the process.
#pragma once

#include "module/link/known_upstreams.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

class shared_zone;
class worker_link;
struct link_settings;

/// Returns this worker process's link; null if it has none (a configuration without rollout_worker).
worker_link *link_of_process() noexcept;

/// Creates the link, which starts to connect.
void begin_process_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams);

/// Sends `bye` to rolloutd, if it is linked, and destroys the link.
void end_process_link() noexcept;

} // namespace rollout
