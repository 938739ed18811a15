#include "module/zone/process_in_flight.hpp"

#include "module/zone/shared_zone.hpp"

#include <optional>

namespace rollout {

namespace {

std::optional<in_flight_table> of_process;

} // namespace


in_flight_table *in_flight_of_process() noexcept
{
    return of_process ? &*of_process : nullptr;
}


void join_in_flight(shared_zone &zone, ngx_log_t *log)
{
    of_process.emplace(zone.in_flight);
    if (!of_process->join(ngx_pid, is_alive)) {
        ngx_log_error(
            NGX_LOG_WARN, log, 0,
            "rollout: zone \"%V\" keeps counts for %uz processes and all are in use; drains may take longer",
            &zone.name, of_process->processes());
    }
}


void leave_in_flight() noexcept
{
    if (of_process) {
        of_process->leave();
    }
}

} // namespace rollout
