// The link that a worker process has, from its begin to its end.
#pragma once

#include "module/link/known_upstreams.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

class shared_zone;
class worker_link;
struct link_settings;

/// This worker process's link; null in a process that has none (a configuration without rollout_worker).
worker_link *link_of_process() noexcept;

/// Begins to connect.
void begin_process_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams);

/// Says goodbye to rolloutd, if it is linked, and ends the link.
void end_process_link() noexcept;

} // namespace rollout
