#include "worker/fs/folder_syncs.hpp"

#include <exception>
#include <utility>

namespace rollout {

outcome folder_syncs::sync(const std::filesystem::path &folder)
{
    std::unique_lock lock(mutex_);
    rounds &of_folder = of_[folder];
    if (!of_folder.next) {
        of_folder.next = std::make_shared<round>();
    }
    const auto mine = of_folder.next;
    ended_.wait(lock, [&] { return mine->has_ended || !of_folder.is_running; });
    if (mine->has_ended) {
        return mine->result;
    }

    of_folder.next.reset(); // who comes from now on is too late for this one
    of_folder.is_running = true;
    lock.unlock();
    outcome result = attempt(folder);
    lock.lock();
    of_folder.is_running = false;
    mine->result = std::move(result);
    mine->has_ended = true;
    ended_.notify_all();
    return mine->result;
}


outcome folder_syncs::attempt(const std::filesystem::path &folder) const noexcept
try {
    return sync_one_(folder);
} catch (const std::exception &thrown) {
    return {outcome::kind::permanent, thrown.what()};
}

} // namespace rollout
