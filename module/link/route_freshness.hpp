// Tells whether the routes are as current as if this process had not stood still (a SIGSTOP, a suspended machine).
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>

namespace rollout {

class route_freshness {
  public:
    /// To be called when the process has stood still for so long that rolloutd may have given it up: waits for the
    /// current routes, but not beyond `until`.
    void begin_to_catch_up(ngx_msec_t until) noexcept;

    /// Notes the revision of rolloutd's newest route, from its welcome.
    void expect(std::uint64_t revision) noexcept { awaited_ = revision; }

    /// Accepts the known routes as current, because rolloutd is down.
    void trust() noexcept { state_ = state::current; }

    bool catches_up() const noexcept { return state_ == state::catching_up; }

    /// Returns whether routes of that revision are current.
    bool is_current(std::uint64_t revision) noexcept;

  private:
    enum class state { current, catching_up };

    state state_ = state::current;
    ngx_msec_t until_ = 0;      ///< in ngx_current_msec's time
    std::uint64_t awaited_ = 0; ///< UINT64_MAX: rolloutd has not sent it yet
};

} // namespace rollout
