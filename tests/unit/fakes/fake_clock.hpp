// A clock that goes when a test lets it. All fakes wait on it, so that a whole rollout is a list of calls in one order, and
// a process can die between any two of them.
#pragma once

#include "worker/async/clock.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

class fake_clock final : public rollout::clock {
  public:
    static constexpr std::int64_t start_us = 1795536561000000; // 2026-11-24T16:09:21Z

    std::chrono::milliseconds now() const override { return now_; }
    std::int64_t wall_us() const override { return start_us + now_.count() * 1000; }

    rollout::operation_ptr after(std::chrono::milliseconds time, std::function<void()> call) override;

    /// Calls from the loop, after that time, and nobody holds it.
    void post(std::function<void()> call, std::chrono::milliseconds time = {}) { add(time, std::move(call)); }

    /// Is there a call that is to come?
    bool waits() const noexcept { return !calls_.empty(); }

    /// Makes the next call, at its time; false where there is none.
    bool next();

    /// Makes all calls that are due within that time, and those that come of them.
    void run_for(std::chrono::milliseconds time);

    /// Makes all calls that are due by now.
    void settle() { run_for({}); }

    /// False where that never becomes true.
    template <typename Condition>
    bool run_until(const Condition &condition)
    {
        for (int calls = 0; !condition(); ++calls) {
            if (calls == 100000 || !next()) {
                return false;
            }
        }
        return true;
    }

    /// Runs after each call.
    std::function<void()> after_each;

    /// Every call comes that much later at least: work that takes time.
    std::chrono::milliseconds least_time{0};

    /// The process is dead: nothing calls it any more.
    void forget();

  private:
    using key = std::pair<std::chrono::milliseconds, std::uint64_t>;

    class alarm final : public rollout::operation {
      public:
        alarm(fake_clock &of, key at) : of_(of), at_(at) {}
        ~alarm() override { of_.calls_.erase(at_); }
        void cancel() override { of_.calls_.erase(at_); }

      private:
        fake_clock &of_;
        key at_;
    };

    key add(std::chrono::milliseconds time, std::function<void()> call);

    std::chrono::milliseconds now_{1000};
    std::uint64_t last_ = 0;
    std::map<key, std::function<void()>> calls_;
};
