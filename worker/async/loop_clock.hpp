// The engine's clock on libuv's loop.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/timer.hpp"

namespace rollout {

class loop_clock final : public clock {
  public:
    explicit loop_clock(uv_loop_t *loop) : loop_(loop) {}

    std::chrono::milliseconds now() const override { return std::chrono::milliseconds(uv_hrtime() / 1000000); }

    std::int64_t wall_us() const override
    {
        using namespace std::chrono;
        return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
    }

    operation_ptr after(std::chrono::milliseconds time, std::function<void()> call) override
    {
        return std::make_unique<alarm>(loop_, time, std::move(call));
    }

  private:
    class alarm final : public operation {
      public:
        alarm(uv_loop_t *loop, std::chrono::milliseconds time, std::function<void()> call) : timer_(loop)
        {
            timer_.start(time, std::move(call));
        }

        void cancel() override { timer_.stop(); }

      private:
        timer timer_;
    };

    uv_loop_t *loop_;
};

} // namespace rollout
