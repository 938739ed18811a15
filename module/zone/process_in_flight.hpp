// This process's own slot in the counts of requests in flight.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/tables/in_flight_table.hpp"

namespace rollout {

class shared_zone;

/// Returns this process's view of the counts, with the slot that it has joined; null before it has joined.
in_flight_table *in_flight_of_process() noexcept;

/// Joins when the process starts; logs a warning if all slots are in use.
void join_in_flight(shared_zone &zone, ngx_log_t *log);

/// Releases the slot when the process ends. Requests that end later still find the table.
void leave_in_flight() noexcept;

} // namespace rollout
