// Follows a task: each new state of its document, as soon as the gateway has it. By long polls (`?wait=N` with the ETag of what is
// known); a stream of events can take their place behind the same interface.
#pragma once

#include "ctl/api/gateway.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace rollout::ctl {

class task_follower {
  public:
    using clock = std::chrono::steady_clock;

    /// Begins with what is known of the task. Without an answer for `patience` it gives up. `from` outlives it.
    task_follower(gateway &from, task_document known, std::chrono::milliseconds patience);

    const task_document &task() const noexcept { return task_; }

    /// Waits for a change, at most so long; true if `task()` is another than before. Throws command_error if the task is gone or not
    /// allowed to be read any more, or nothing has answered for `patience`.
    bool wait(std::chrono::milliseconds at_most);

    /// Why nothing is known at the moment, in a sentence; empty: the gateway answers.
    const std::string &trouble() const noexcept { return trouble_; }

    /// Since when there is trouble.
    clock::time_point trouble_since() const noexcept { return trouble_since_; }

    /// What the gateway's clock is ahead of this machine's.
    std::chrono::seconds clock_ahead() const noexcept { return clock_ahead_; }

  private:
    void begin();
    bool take(const http_answer &answer);
    void retry_later(const std::string &why);
    void give_up_if_over() const;

    gateway &from_;
    task_document task_;
    std::chrono::milliseconds patience_;
    std::unique_ptr<http_exchange> poll_;
    std::string etag_;
    clock::time_point next_try_;
    clock::time_point begun_{}; ///< the poll under way
    std::chrono::milliseconds pause_;
    std::string trouble_;
    clock::time_point trouble_since_;
    std::chrono::seconds clock_ahead_{0};
};

} // namespace rollout::ctl
