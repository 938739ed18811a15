#include "worker/journal/sqlite/checkpoints.hpp"

#include "worker/base/log.hpp"
#include "worker/os/signals.hpp"

#include <string>

namespace rollout {

namespace {

/// How many pages a commit may have to wait for, if the disk is fast enough.
constexpr int pages_for_writer = 60;

/// Each pass copies what was added during the previous one, which is less each time.
constexpr int passes_beside = 5;

/// A WAL that grows faster than it is copied stops the writer at this many times the size at which a checkpoint
/// starts, until the checkpoint is done.
constexpr int most_times = 4;

} // namespace


checkpoints::checkpoints(sqlite_database &writer, const std::string &path, int log_pages)
    : writer_(writer), beside_(path, SQLITE_OPEN_READWRITE), log_pages_(log_pages)
{
    beside_.run("PRAGMA synchronous = FULL");
    // Replaces the hook by which SQLite itself makes its checkpoints.
    sqlite3_wal_hook(
        writer.get(),
        [](void *to, sqlite3 *, const char *, int pages) noexcept {
            *static_cast<std::atomic<int> *>(to) = pages;
            return SQLITE_OK;
        },
        &pages_);
    thread_ = make_thread([this](const std::stop_token &stop) { run(stop); });
}


// No checkpoint starts while another runs, or when all of the WAL is in the file: concurrently with a commit that
// restarts the WAL, SQLite before 3.51.3 would treat the new WAL as checkpointed
// (https://sqlite.org/wal.html#walresetbug).
void checkpoints::after_commit()
{
    std::unique_lock lock(mutex_);
    if (state_ == state::beside && pages_ - taken_ >= most_times * log_pages_) {
        changed_.wait(lock, [this] { return state_ != state::beside; });
    }
    if (pages_ < taken_) {
        taken_ = 0; // the WAL was restarted
    }
    if (state_ == state::by_writer) {
        taken_ = checkpoint(writer_);
        state_ = state::none;
    } else if (state_ == state::none && pages_ - taken_ >= log_pages_) {
        state_ = state::beside;
        changed_.notify_all();
    }
}


void checkpoints::run(const std::stop_token &stop)
{
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return state_ == state::beside; }) && !stop.stop_requested()) {
        lock.unlock();
        int taken = 0;
        for (int i = 0; i < passes_beside && (i == 0 || pages_ - taken > pages_for_writer); ++i) {
            taken = checkpoint(beside_);
        }
        lock.lock();
        taken_ = taken;
        state_ = state::by_writer; // there may be a newer commit that is not in `pages_` yet
        changed_.notify_all();
    }
}


/// Returns how many of the WAL's pages are in the file.
int checkpoints::checkpoint(sqlite_database &by)
{
    int taken = 0;
    const int before = pages_;
    const int rc = sqlite3_wal_checkpoint_v2(by.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, &taken);
    if (rc == SQLITE_OK) {
        failing_ = false;
        return taken;
    }
    const bool is_busy = (rc & 0xff) == SQLITE_BUSY; // with a checkpoint that a person started
    if (!is_busy && !failing_) {
        failing_ = true;
        log(log_level::error, std::string("the journal's WAL cannot be checkpointed, and grows: ") +
                                  sqlite3_errmsg(by.get()) + ". Nothing is lost; check its disk");
    }
    return before; // tries again after as many new pages
}

} // namespace rollout
