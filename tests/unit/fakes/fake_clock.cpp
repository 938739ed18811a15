#include "tests/unit/fakes/fake_clock.hpp"

#include <algorithm>

rollout::operation_ptr fake_clock::after(std::chrono::milliseconds time, std::function<void()> call)
{
    return std::make_unique<alarm>(*this, add(time, std::move(call)));
}

bool fake_clock::next()
{
    if (calls_.empty()) {
        return false;
    }
    const auto first = calls_.begin();
    now_ = std::max(now_, first->first.first);
    const auto call = std::move(first->second); // which may destroy its alarm
    calls_.erase(first);
    call();
    if (after_each) {
        after_each();
    }
    return true;
}

void fake_clock::run_for(std::chrono::milliseconds time)
{
    const auto until = now_ + time;
    while (!calls_.empty() && calls_.begin()->first.first <= until) {
        next();
    }
    now_ = until;
}

void fake_clock::forget()
{
    calls_.clear();
}

fake_clock::key fake_clock::add(std::chrono::milliseconds time, std::function<void()> call)
{
    const key at{now_ + std::max(time, least_time), ++last_};
    calls_.emplace(at, std::move(call));
    return at;
}
