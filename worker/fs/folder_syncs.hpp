// Syncs of folders that many threads change at one time.
#pragma once

#include "worker/async/outcome.hpp"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace rollout {

/// Remembers each folder that it has synced, so they should be few.
class folder_syncs {
  public:
    using sync_fn = std::function<outcome(const std::filesystem::path &folder)>;

    /// `sync_one` syncs a folder; it is called on any thread, for one folder on one thread at a time.
    explicit folder_syncs(sync_fn sync_one) : sync_one_(std::move(sync_one)) {}

    /// Returns when everything that was changed in the folder before the call is on the disk, or a failure. Blocks.
    /// Calls that come during a sync of the folder, which may be too late for them, share the next one.
    outcome sync(const std::filesystem::path &folder);

  private:
    /// One sync, for all that wait for it.
    struct round {
        bool has_ended = false;
        outcome result;
    };

    struct rounds {
        bool is_running = false;
        std::shared_ptr<round> next; ///< null if nobody waits for it
    };

    outcome attempt(const std::filesystem::path &folder) const noexcept;

    const sync_fn sync_one_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::map<std::filesystem::path, rounds> of_; ///< by folder
};

} // namespace rollout
