// A one-shot timer on libuv's loop, with an owner.
#pragma once

#include <uv.h>

#include <chrono>
#include <functional>

namespace rollout {

/// The function runs once for each `start`, from the loop, never from inside `start`. It may start the timer again or
/// destroy it. The loop must outlive the timer and run once more after it is destroyed, so that libuv releases the
/// handle.
class timer {
  public:
    explicit timer(uv_loop_t *loop);
    ~timer();
    timer(const timer &) = delete;
    timer &operator=(const timer &) = delete;

    /// Starts the timer, or restarts it with another time and function.
    void start(std::chrono::milliseconds after, std::function<void()> fire);
    void stop() noexcept;

  private:
    struct state;
    state *state_; // lives until libuv has closed its handle
};

} // namespace rollout
