// The thread that commits, for sqlite_journal's own files alone.
#pragma once

#include "worker/journal/sqlite/checkpoints.hpp"
#include "worker/journal/sqlite/writes.hpp"

#include <uv.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

namespace rollout {

/// What went together into a commit, or failed together.
struct sqlite_journal::batch {
    writes of;
    outcome ended;
    std::uint64_t revision = 0; ///< after it: the one before it where it failed
    std::chrono::nanoseconds took{};
};

/// Takes writes in their order, as many as wait and a bound allows, and commits them together: a batch costs one sync. It
/// goes from batch to batch by itself, so the disk works while the loop does.
class sqlite_journal::committer {
  public:
    /// The statements are the thread's from here on, while it has something to do. `ended` is called on the loop's thread, for
    /// each batch in their order. The loop must outlive this, and run once more after it is gone.
    committer(uv_loop_t *loop, statements &in, checkpoints &and_then, std::function<void(const batch &)> ended);

    /// Waits for the batch that is under way, and drops what waits.
    ~committer();
    committer(const committer &) = delete;
    committer &operator=(const committer &) = delete;

    void give(writes some);

    /// Is anything given that has not ended?
    bool busy() const noexcept { return unended_ != 0; }

  private:
    void run(const std::stop_token &stop);
    void commit(batch &one) const;
    static void pass(const writes &some, std::string_view when);
    void tell();

    statements &in_;
    checkpoints &checkpoints_;
    std::function<void(const batch &)> on_ended_;
    std::size_t unended_ = 0; ///< writes; the loop's

    std::mutex mutex_;
    std::condition_variable_any given_;
    writes waiting_;           ///< under the mutex
    std::vector<batch> ended_; ///< under the mutex

    uv_async_t *wake_; ///< lives until libuv has closed its handle
    std::jthread thread_;
};

} // namespace rollout
