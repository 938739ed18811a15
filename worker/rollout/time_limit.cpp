#include "worker/rollout/time_limit.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

time_limit::time_limit(clock &time, std::chrono::milliseconds limit, std::chrono::milliseconds before,
                       std::function<void()> on_over)
    : time_(time), limit_(limit), on_over_(std::move(on_over)), counted_(before), counts_since_(time.now())
{
}


void time_limit::start()
{
    alarm_ = time_.after(limit_ - std::min(limit_, counted_), [this] {
        is_over_ = true;
        on_over_();
    });
}


std::chrono::milliseconds time_limit::elapsed() const
{
    return stands() ? counted_ : counted_ + (time_.now() - counts_since_);
}


void time_limit::wait_for(waited_for who)
{
    if (!stands()) {
        set(who);
    }
}


void time_limit::end_wait(waited_for who)
{
    if (waits_for_ == who) {
        set(waited_for::nobody);
    }
}


void time_limit::set(waited_for who)
{
    if (who == waits_for_ || is_stopped_) {
        return;
    }
    counted_ = elapsed();
    counts_since_ = time_.now();
    waits_for_ = who;
    if (stands()) {
        alarm_.reset();
    } else if (!is_over_) {
        start();
    }
}


void time_limit::stop()
{
    is_stopped_ = true;
    alarm_.reset();
}

} // namespace rollout
