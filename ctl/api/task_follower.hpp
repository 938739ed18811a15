// Follows a task: returns each new state of its document as soon as the gateway has it. Reads its events, or uses long
// polls (`?wait=N` with the known ETag) if the gateway has no events, or something on the way does not let them through.
#pragma once

#include "ctl/api/event_reader.hpp"
#include "ctl/api/gateway.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace rollout::ctl {

class task_follower {
  public:
    using clock = std::chrono::steady_clock;

    /// Starts with the known state of the task. Gives up after `patience` without an answer. `from` must outlive it.
    task_follower(gateway &from, task_document known, std::chrono::milliseconds patience);

    const task_document &task() const noexcept { return task_; }

    /// Waits for a change, up to the given time; returns whether `task()` has changed. Throws command_error if the task
    /// is gone or may no longer be read, or if nothing has answered for `patience`.
    bool wait(std::chrono::milliseconds at_most);

    /// Returns why the current state is unknown, in a sentence; empty if the gateway answers.
    const std::string &trouble() const noexcept { return trouble_; }

    /// Returns when the trouble began.
    clock::time_point trouble_since() const noexcept { return trouble_since_; }

    /// Returns how far the gateway's clock is ahead of this machine's.
    std::chrono::seconds clock_ahead() const noexcept { return clock_ahead_; }

  private:
    enum class way { events, polls };

    void begin();
    void begin_events();
    void begin_poll();
    bool take_events();
    void end_events(const http_exchange &ended);
    void check_silence();
    void note_clock(const http_answer &answer);
    bool take(const http_answer &answer);
    void retry_later(const std::string &why);
    void give_up_if_over() const;

    gateway &from_;
    task_document task_;
    std::chrono::milliseconds patience_;
    way way_ = way::events;
    event_reader events_;
    bool hears_events_ = false;           ///< over the current connection
    clock::time_point last_heard_{};      ///< an event, or the beginning of the request for them
    std::unique_ptr<http_exchange> poll_; ///< or the stream of events
    std::string etag_;
    clock::time_point next_try_;
    clock::time_point begun_{}; ///< when the current poll began
    std::chrono::milliseconds pause_;
    std::string trouble_;
    clock::time_point trouble_since_;
    std::chrono::seconds clock_ahead_{0};
};

} // namespace rollout::ctl
