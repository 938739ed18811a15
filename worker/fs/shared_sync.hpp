// Syncs a folder for several threads.
#pragma once

#include "worker/async/outcome.hpp"

#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>

namespace rollout {

/// Threads that come while a sync runs share the next one: it begins after all that they have done, and costs no more
/// for many of them; if the running one fails, so does that. May be used by any thread.
class shared_sync {
  public:
    using sync_fn = std::function<outcome(const std::filesystem::path &folder)>;

    /// `sync` writes the folder to the disk.
    shared_sync(std::filesystem::path folder, sync_fn sync);

    const std::filesystem::path &folder() const noexcept { return folder_; }

    /// Returns when what the caller has changed in the folder is on the disk, or that it is not.
    outcome run();

    /// Returns how many wait for a sync that has not begun.
    std::size_t waiting();

  private:
    struct turn {
        std::size_t waiting = 0;
        void end(const outcome &with)
        {
            ended = with;
            is_over = true;
        }

        bool is_over = false;
        outcome ended;
    };

    const std::filesystem::path folder_;
    const sync_fn sync_;
    std::mutex mutex_;
    std::condition_variable over_;
    std::shared_ptr<turn> next_; ///< not begun; null if nobody waits for it
    bool is_running_ = false;
};

} // namespace rollout
