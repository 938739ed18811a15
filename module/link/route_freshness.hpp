// Whether the routes are as current as if this process had not stood still (a SIGSTOP, a suspended machine).
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>

namespace rollout {

class route_freshness {
  public:
    /// The process stood still, in which rolloutd may have given it up: the routes of now are awaited, until then at the latest.
    void begin_to_catch_up(ngx_msec_t until) noexcept;

    /// rolloutd's newest route is of that revision, as its welcome says.
    void expect(std::uint64_t revision) noexcept { awaited_ = revision; }

    /// rolloutd is away: what is known counts.
    void trust() noexcept { state_ = state::current; }

    bool catches_up() const noexcept { return state_ == state::catching_up; }

    /// Are routes of that revision current?
    bool is_current(std::uint64_t revision) noexcept;

  private:
    enum class state { current, catching_up };

    state state_ = state::current;
    ngx_msec_t until_ = 0;      ///< in ngx_current_msec's time
    std::uint64_t awaited_ = 0; ///< UINT64_MAX: rolloutd has not said yet which
};

} // namespace rollout
