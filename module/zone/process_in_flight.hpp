// This process's own place among the counts of requests in flight.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/tables/in_flight_table.hpp"

namespace rollout {

class shared_zone;

/// This process's view of the counts, with the sheet that it joined; null before it has joined.
in_flight_table *in_flight_of_process() noexcept;

/// Joins when the process begins; logs a warning if all sheets are in use.
void join_in_flight(shared_zone &zone, ngx_log_t *log);

/// Gives the sheet back when the process ends. Requests that end afterwards still find the table.
void leave_in_flight() noexcept;

} // namespace rollout
