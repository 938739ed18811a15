// Notifies the service manager that has started rolloutd: sd_notify(3). Does nothing without one.
#pragma once

#include "worker/async/timer.hpp"

#include <chrono>
#include <string>

namespace rollout {

class service_manager {
  public:
    /// The loop must outlive it.
    explicit service_manager(uv_loop_t *loop) : watchdog_(loop) {}

    /// Reports that the start is still in progress. After the first few seconds it must be called at least every ten
    /// minutes; it may be called any number of times.
    void starting();

    /// Reports that the socket is open and unfinished tasks have been resumed. From now on the watchdog, if there is one,
    /// is fed from the loop, twice per watchdog interval.
    void ready(const std::string &status);

    /// Reports that the configuration is being reloaded, until the next `ready`.
    void reloading();

    void stopping();

  private:
    void feed_watchdog(std::chrono::milliseconds pause);

    timer watchdog_;
    std::chrono::steady_clock::time_point next_word_{}; ///< the next notification of a long start
    bool watched_ = false;
};

} // namespace rollout
