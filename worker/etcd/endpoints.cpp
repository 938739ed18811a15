#include "worker/etcd/endpoints.hpp"

#include <algorithm>
#include <utility>

namespace rollout::etcd {

namespace {

using namespace std::chrono_literals;

constexpr endpoints::time first_pause = 100ms;
constexpr endpoints::time longest_pause = 5s;
constexpr endpoints::time pause_when_all_are_down = 1s;

} // namespace


endpoints::endpoints(std::size_t count, std::size_t first, std::function<double()> random)
    : all_(count), current_(first), random_(std::move(random))
{
}


endpoints::choice endpoints::next(time now) const
{
    if (all_down()) {
        const endpoint &of = all_[current_];
        time at = of.failed_at + std::min(of.pause, first_pause);
        if (has_tried_) {
            at = std::max(at, last_attempt_ + pause_when_all_are_down);
        }
        return {current_, std::max(at - now, 0ms)};
    }
    choice soonest{current_, time::max()};
    for (std::size_t i = 0; i < all_.size(); ++i) {
        const std::size_t index = (current_ + i) % all_.size();
        const endpoint &of = all_[index];
        const time wait = of.failures == 0 ? 0ms : std::max(of.failed_at + of.pause - now, 0ms);
        if (wait < soonest.wait) {
            soonest = {index, wait};
        }
    }
    return soonest;
}


void endpoints::on_attempt(std::size_t index, time now)
{
    current_ = index;
    last_attempt_ = now;
    has_tried_ = true;
}


void endpoints::on_success(std::size_t index) noexcept
{
    all_[index].failures = 0;
}


bool endpoints::on_failure(std::size_t index, time now)
{
    endpoint &of = all_[index];
    const time whole = std::min(first_pause * (1U << std::min(of.failures, 6U)), longest_pause);
    of.pause = std::chrono::duration_cast<time>(whole * (1.0 - random_() / 2));
    of.failed_at = now;
    ++of.failures;
    current_ = (index + 1) % all_.size();
    return of.failures == 1;
}


void endpoints::leave(std::size_t index) noexcept
{
    current_ = (index + 1) % all_.size();
}


bool endpoints::all_down() const noexcept
{
    return std::ranges::all_of(all_, [](const endpoint &of) { return of.failures != 0; });
}

} // namespace rollout::etcd
