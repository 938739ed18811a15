#include "worker/fs/sync_tree.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <future>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace rollout {
namespace {

namespace fs = std::filesystem;

/// Disks take several requests at a time.
constexpr std::size_t most_threads = 4;

/// Fewer are not worth a thread: that costs more than it saves if other models are synced at the same time.
constexpr std::size_t entries_a_thread = 4;

struct entry_to_sync {
    fs::path path;
    int flags = 0; ///< O_DIRECTORY or O_NOFOLLOW
};


outcome sync_entry(const entry_to_sync &entry)
{
    const unique_fd opened(::open(entry.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | entry.flags));
    if (!opened || ::fsync(opened.get()) != 0) {
        return io_failure(shown(entry.path) + " cannot be written to the disk", errno);
    }
    return outcome::ok();
}


/// Lists the folder, and the files and folders in it. A folder is before what is in it: ext4 without a journal writes the
/// folders above a new file with that file, one after the other, unless they are written already.
outcome list_tree(const fs::path &folder, const stop_flag &stop, std::vector<entry_to_sync> &into)
{
    into.push_back({folder, O_DIRECTORY});
    std::error_code error;
    for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        if (stop) {
            return outcome::canceled();
        }
        const fs::file_status status = entry->symlink_status(error);
        if (error) {
            break;
        }
        if (fs::is_regular_file(status)) {
            into.push_back({entry->path(), O_NOFOLLOW});
        } else if (fs::is_directory(status)) {
            if (auto listed = list_tree(entry->path(), stop, into); !listed) {
                return listed;
            }
        }
    }
    return error ? io_failure(shown(folder) + " cannot be read", error.value()) : outcome::ok();
}

} // namespace


outcome sync_folder(const fs::path &path)
{
    return sync_entry({path, O_DIRECTORY});
}


outcome sync_tree(const fs::path &folder, const stop_flag &stop)
{
    std::vector<entry_to_sync> entries;
    if (auto listed = list_tree(folder, stop, entries); !listed) {
        return listed;
    }
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> failed = false;
    const auto sync_some = [&] {
        outcome ended;
        for (auto i = next++; ended && !failed && i < entries.size(); i = next++) {
            ended = stop ? outcome::canceled() : sync_entry(entries[i]);
        }
        if (!ended) {
            failed = true;
        }
        return ended;
    };
    std::vector<std::future<outcome>> others;
    for (std::size_t i = 1; i < std::min(entries.size() / entries_a_thread, most_threads); ++i) {
        others.push_back(std::async(sync_some)); // in `get`, if no thread can be started
    }
    outcome ended = sync_some();
    for (auto &other : others) {
        auto also = other.get();
        ended = ended ? std::move(also) : ended;
    }
    return ended;
}

} // namespace rollout
