// How long a task has been worked on, across restarts, and the limit of that. Time spent waiting for a person or a
// permit does not count.
#pragma once

#include "worker/async/clock.hpp"

#include <chrono>
#include <functional>

namespace rollout {

/// What the task waits for. The time runs while it is `nobody`.
enum class waited_for { nobody, person, permit };

class time_limit {
  public:
    /// `before`: the time that earlier runs worked on it. `on_over` is called once, from the loop, when the limit has
    /// passed.
    time_limit(clock &time, std::chrono::milliseconds limit, std::chrono::milliseconds before,
               std::function<void()> on_over);

    /// Starts watching the limit.
    void start();

    /// Stops the time until the wait is over.
    void wait_for(waited_for who);

    /// Lets the time run again. Does nothing if the task waits for something else, or for nothing.
    void end_wait(waited_for who);

    /// Stops watching for good. Waits that begin or end afterwards change nothing.
    void stop();

    std::chrono::milliseconds elapsed() const;
    bool stands() const noexcept { return waits_for_ != waited_for::nobody; }

    /// Returns whether the limit has passed.
    bool is_over() const noexcept { return is_over_; }

  private:
    void set(waited_for who);

    clock &time_;
    const std::chrono::milliseconds limit_;
    const std::function<void()> on_over_;
    std::chrono::milliseconds counted_; ///< up to `counts_since_`
    std::chrono::milliseconds counts_since_;
    waited_for waits_for_ = waited_for::nobody;
    bool is_over_ = false;
    bool is_stopped_ = false;
    operation_ptr alarm_;
};

} // namespace rollout
