// The settings of `rollout_worker`.
#pragma once

#include "common/domain/limits.hpp"
#include "module/nginx/ngx.hpp"

#include <cstddef>

namespace rollout {

struct link_settings {
    ngx_str_t path{}; ///< of the Unix socket
    ngx_msec_t ack_timeout = 5000;
    ngx_msec_t reconnect = 200;
    std::size_t max_waiting = limits::waiting_clients;
};

} // namespace rollout
