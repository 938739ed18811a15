// Checkpoints the WAL concurrently with commits, so that no commit waits for a checkpoint.
#pragma once

#include "worker/journal/sqlite/database.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace rollout {

/// Replaces SQLite's own checkpoints, each of which delays a commit by tens of milliseconds: when the WAL has grown,
/// a thread copies nearly all of it into the file through its own connection, and the writer copies the few pages
/// that were added since, after which SQLite restarts the WAL.
class checkpoints {
  public:
    /// `writer` is the connection that commits, in WAL mode; it must outlive this. A checkpoint starts when the WAL
    /// has `log_pages` pages of 4 KiB. A page that many commits write is copied once: a larger bound means less to
    /// copy, but more to read at a start after a crash. Throws sqlite_error.
    checkpoints(sqlite_database &writer, const std::string &path, int log_pages = 4000);

    /// Waits for a checkpoint that is under way.
    ~checkpoints() = default;
    checkpoints(const checkpoints &) = delete;
    checkpoints &operator=(const checkpoints &) = delete;

    /// Called on the writer's thread, after each of its commits. Returns at once, unless the WAL has reached its
    /// upper bound.
    void after_commit();

  private:
    enum class state { none, beside, by_writer };

    void run(const std::stop_token &stop);
    int checkpoint(sqlite_database &by);

    sqlite_database &writer_;
    sqlite_database beside_;
    int log_pages_;
    std::atomic<int> pages_ = 0; ///< in the WAL after the last commit

    std::mutex mutex_;
    std::condition_variable_any changed_;
    state state_ = state::none; ///< under the mutex
    int taken_ = 0;             ///< how many of the WAL's pages are in the file; under the mutex
    bool failing_ = false;      ///< used by whichever thread makes a checkpoint
    std::jthread thread_;
};

} // namespace rollout
