// The signals that control rolloutd: SIGTERM, SIGINT and SIGHUP, received by the loop only; with failpoints, also SIGUSR1
// and SIGUSR2, with which tests stop and start the engine.
#pragma once

#include "common/base/unique_fd.hpp"

#include <uv.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <thread>

namespace rollout {

/// Creates libuv's threads so that they never receive a signal. libuv creates them for their first work; this runs the
/// loop until that is done.
void make_threads(uv_loop_t *loop);

/// Creates another thread that never receives a signal. Destroying it requests it to stop and waits for it.
std::jthread make_thread(std::function<void(const std::stop_token &stop)> work);

/// Returns whether the calling thread, and with it every thread that it creates, receives none of these signals.
bool are_signals_blocked();

/// Used on the loop's thread. The loop must outlive it, and run once more after `ignore` or the destructor.
class signal_catcher {
  public:
    explicit signal_catcher(uv_loop_t *loop) : loop_(loop) {}
    ~signal_catcher() { ignore(); }
    signal_catcher(const signal_catcher &) = delete;
    signal_catcher &operator=(const signal_catcher &) = delete;

    /// From now on each signal calls `caught`, on the loop; it may call ignore(). The signals are blocked in this thread for
    /// good, and so in all that it creates, also those of libraries that create theirs when they like. Throws
    /// std::system_error.
    void start(std::function<void(int number)> caught);

    /// From now on signals have no effect: a second SIGTERM must not break off an orderly shutdown that has all but
    /// ended.
    void ignore();

  private:
    void receive();

    uv_loop_t *loop_;
    std::function<void(int)> caught_;
    unique_fd descriptor_; ///< of signalfd(2); none before `start` and after `ignore`
    std::unique_ptr<uv_poll_t> poll_;
};

} // namespace rollout
