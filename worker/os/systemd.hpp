// What a service manager that has started rolloutd hears of it: sd_notify(3). Without one, nothing is said.
#pragma once

#include "worker/async/timer.hpp"

#include <chrono>
#include <string>

namespace rollout {

class service_manager {
  public:
    /// The loop must outlive it.
    explicit service_manager(uv_loop_t *loop) : watchdog_(loop) {}

    /// The start is not over yet, and goes on: to be called at least every ten minutes then, from when the first seconds are over.
    /// It may be called as often as one likes.
    void starting();

    /// The socket is open, and what was unfinished is taken up. From now on the watchdog, where there is one, hears of
    /// every turn in which the loop gets to it, twice in its time.
    void ready(const std::string &status);

    /// The configuration is read again, until the next `ready`.
    void reloading();

    void stopping();

  private:
    void feed_watchdog(std::chrono::milliseconds pause);

    timer watchdog_;
    std::chrono::steady_clock::time_point next_word_{}; ///< of a start that takes its time
    bool watched_ = false;
};

} // namespace rollout
