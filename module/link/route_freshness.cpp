#include "module/link/route_freshness.hpp"

namespace rollout {

void route_freshness::begin_to_catch_up(ngx_msec_t until) noexcept
{
    state_ = state::catching_up;
    until_ = until;
    awaited_ = UINT64_MAX;
}


bool route_freshness::is_current(std::uint64_t revision) noexcept
{
    if (is_past(until_) || revision >= awaited_) {
        state_ = state::current;
    }
    return state_ == state::current;
}

} // namespace rollout
