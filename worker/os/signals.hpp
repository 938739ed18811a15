// The signals that tell rolloutd something: SIGTERM, SIGINT and SIGHUP, for the loop's thread alone.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

namespace rollout {

/// Makes libuv's threads, which never get a signal; it makes them with the first work for them. Turns the loop until that
/// is done.
void make_threads(uv_loop_t *loop);

/// Makes one more that never gets a signal. Destroying it asks it to stop, and waits for it.
std::jthread make_thread(std::function<void(const std::stop_token &stop)> work);

/// On the loop's thread. The loop must outlive it, and turn once more after it is ignored or gone.
class signal_catcher {
  public:
    explicit signal_catcher(uv_loop_t *loop) : loop_(loop) {}
    ~signal_catcher() { ignore(); }
    signal_catcher(const signal_catcher &) = delete;
    signal_catcher &operator=(const signal_catcher &) = delete;

    /// From here on each calls `caught`, on the loop.
    void start(std::function<void(int number)> caught);

    /// From here on they mean nothing any more: a second SIGTERM must not end otherwise what has all but ended in order.
    void ignore();

  private:
    uv_loop_t *loop_;
    std::function<void(int)> caught_;
    std::vector<std::unique_ptr<uv_signal_t>> handles_;
};

} // namespace rollout
