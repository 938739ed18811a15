// Writes gather while a commit is under way on a thread of its own, and go together in the next: a batch costs one sync.
#pragma once

#include "worker/async/timer.hpp"
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

/// What went together into a commit, or failed together.
struct commit_batch {
    std::vector<write_ptr> writes;
    outcome ended;
    std::uint64_t revision = 0; ///< after it: the one before it if it failed
    std::chrono::nanoseconds took{};
};

/// Commits writes in their order, as many together as wait and a bound allows. It goes from batch to batch by itself, so the disk
/// works while the loop does.
class committer {
  public:
    /// `writer` is the thread's from here on, while it has something to do, and so is the call of `after_commit`, behind each commit
    /// that went well. `ended` is called on the loop's thread, for each batch in their order: it has to end their writes. The loop
    /// must outlive this, and run once more after it is gone. Throws sqlite_error.
    committer(uv_loop_t *loop, sqlite_database &writer, std::uint64_t last_revision,
              std::function<void()> after_commit, std::function<void(const commit_batch &)> ended);

    /// Waits for the batch that is under way, and drops what waits.
    ~committer();
    committer(const committer &) = delete;
    committer &operator=(const committer &) = delete;

    /// Takes a write, which is given to the thread with this turn of the loop's end: what a gateway sends comes many at a time, and
    /// the first is not to have a sync of its own.
    void add(write_ptr write);

    /// Is anything added that has not ended?
    bool busy() const noexcept { return unended_ != 0 || !gathered_.empty(); }

  private:
    void give();
    void tell();
    void run(const std::stop_token &stop);
    void commit(commit_batch &batch);
    static void pass(const std::vector<write_ptr> &writes, std::string_view when);

    // The thread's.
    write_statements statements_;
    sqlite_statement begin_;
    sqlite_statement put_revision_;
    sqlite_statement commit_;
    std::function<void()> after_commit_;

    // The loop's.
    std::function<void(const commit_batch &)> on_ended_;
    timer turn_end_;
    std::vector<write_ptr> gathered_; ///< for the end of this turn of the loop
    std::size_t unended_ = 0;         ///< writes that were given to the thread

    std::mutex mutex_;
    std::condition_variable_any given_;
    std::vector<write_ptr> waiting_;  ///< under the mutex
    std::vector<commit_batch> ended_; ///< under the mutex

    uv_async_t *wake_; ///< lives until libuv has closed its handle
    std::jthread thread_;
};

} // namespace rollout
