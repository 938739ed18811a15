// The log of SQLite's commits (the WAL) taken into the file beside the commits, so that none of them stands still for it.
#pragma once

#include "worker/journal/sqlite/database.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace rollout {

/// Instead of SQLite's own checkpoints, which each take a commit tens of milliseconds: a thread takes in nearly all of a grown log
/// by a connection of its own, and the writer the few pages that came meanwhile, after which SQLite begins the log anew.
class checkpoints {
  public:
    /// `writer` is the connection that commits, in WAL mode; it must outlive this. The log is taken in when it has `log_pages` pages of 4 KiB. A
    /// page that many commits write is taken in once: the more of them, the less there is to do, and the more to read at a
    /// start after a crash. Throws sqlite_error.
    checkpoints(sqlite_database &writer, const std::string &path, int log_pages = 4000);

    /// Waits for the checkpoint that is under way.
    ~checkpoints() = default;
    checkpoints(const checkpoints &) = delete;
    checkpoints &operator=(const checkpoints &) = delete;

    /// On the writer's thread, after each of its commits. Returns at once, unless the log is at its bound.
    void after_commit();

  private:
    enum class state { none, beside, by_writer };

    void run(const std::stop_token &stop);
    int checkpoint(sqlite_database &by);

    sqlite_database &writer_;
    sqlite_database beside_;
    int log_pages_;
    std::atomic<int> pages_ = 0; ///< in the log after the last commit

    std::mutex mutex_;
    std::condition_variable_any changed_;
    state state_ = state::none; ///< under the mutex
    int taken_ = 0;             ///< so many of the log's pages are in the file; under the mutex
    bool failing_ = false;      ///< whoever makes a checkpoint now
    std::jthread thread_;
};

} // namespace rollout
