#include "module/link/process_link.hpp"

#include "module/link/worker_link.hpp"

#include <memory>
#include <utility>

namespace rollout {

namespace {

std::unique_ptr<worker_link> of_process;

} // namespace


worker_link *link_of_process() noexcept
{
    return of_process.get();
}


void begin_process_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams)
{
    of_process = std::make_unique<worker_link>(settings, zone, log, std::move(upstreams));
}


void end_process_link() noexcept
{
    of_process.reset();
}

} // namespace rollout
