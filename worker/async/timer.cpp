#include "worker/async/timer.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

struct timer::state {
    uv_timer_t handle{};
    std::function<void()> fire;
};


timer::timer(uv_loop_t *loop) : state_(new state)
{
    uv_timer_init(loop, &state_->handle);
    state_->handle.data = state_;
}


timer::~timer()
{
    state_->fire = nullptr;
    uv_close(reinterpret_cast<uv_handle_t *>(&state_->handle),
             [](uv_handle_t *handle) { delete static_cast<state *>(handle->data); });
}


void timer::start(std::chrono::milliseconds after, std::function<void()> fire)
{
    state_->fire = std::move(fire);
    const auto run = [](uv_timer_t *handle) {
        // Moved out first: the function may start the timer again, or destroy the timer and thereby itself.
        const auto once = std::move(static_cast<state *>(handle->data)->fire);
        if (once) {
            once();
        }
    };
    uv_timer_start(&state_->handle, run, static_cast<std::uint64_t>(std::max<long long>(after.count(), 0)), 0);
}


void timer::stop() noexcept
{
    uv_timer_stop(&state_->handle);
    state_->fire = nullptr;
}

} // namespace rollout
