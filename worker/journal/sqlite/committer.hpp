// Gathers writes while a commit is under way on a separate thread, and commits them together next: a batch costs one
// sync.
#pragma once

#include "worker/async/timer.hpp"
#include "worker/journal/sqlite/gather_policy.hpp"
#include "worker/journal/sqlite/writes.hpp"

#include <uv.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

namespace rollout {

/// Writes that were committed together, or failed together.
struct commit_batch {
    std::vector<write_ptr> writes;
    outcome ended;
    bool is_damaged = false;    ///< it failed as the file is damaged
    std::uint64_t revision = 0; ///< after the batch; if it failed, the one before it
    std::chrono::nanoseconds took{};
};

/// Commits writes in order, as many together as are waiting, up to a bound. It goes on to the next batch by itself,
/// so the disk works while the loop does.
class committer {
  public:
    /// From here on, `writer` belongs to the thread while it has something to do; `after_commit` is called on that
    /// thread after each successful commit. `ended` is called on the loop's thread, for each batch in order: it has
    /// to end the batch's writes. The loop must outlive this, and run once more after it is destroyed. Throws
    /// sqlite_error.
    committer(uv_loop_t *loop, sqlite_database &writer, std::uint64_t last_revision,
              std::function<void()> after_commit, std::function<void(const commit_batch &)> ended);

    /// Waits for the batch that is under way, and drops waiting writes.
    ~committer();
    committer(const committer &) = delete;
    committer &operator=(const committer &) = delete;

    /// Adds a write, which is passed to the thread at the end of this turn of the loop: gateways send many at a time,
    /// and the first must not cost a sync of its own.
    void add(write_ptr write);

    /// Returns whether any added write has not ended.
    bool busy() const noexcept { return unended_ != 0 || !gathered_.empty(); }

  private:
    void give();
    void tell();
    bool wait_for_batch(std::unique_lock<std::mutex> &lock, const std::stop_token &stop);
    void run(const std::stop_token &stop);
    void commit(commit_batch &batch);
    static void pass(const std::vector<write_ptr> &writes, std::string_view when);

    // Used by the thread.
    write_statements statements_;
    sqlite_statement begin_;
    sqlite_statement put_revision_;
    sqlite_statement commit_;
    std::function<void()> after_commit_;
    gather_policy gathering_;

    // Used by the loop.
    std::function<void(const commit_batch &)> on_ended_;
    timer turn_end_;
    std::vector<write_ptr> gathered_; ///< to be passed on at the end of this turn of the loop
    std::size_t unended_ = 0;         ///< writes that were passed to the thread

    std::mutex mutex_;
    std::condition_variable_any given_;
    std::vector<write_ptr> waiting_;  ///< under the mutex
    std::size_t wanted_ = 1;          ///< how many wake the thread; under the mutex
    std::vector<commit_batch> ended_; ///< under the mutex

    uv_async_t *wake_; ///< lives until libuv has closed its handle
    std::jthread thread_;
};

} // namespace rollout
