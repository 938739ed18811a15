#include "worker/fs/shared_sync.hpp"

#include <utility>

namespace rollout {

shared_sync::shared_sync(std::filesystem::path folder, sync_fn sync)
    : folder_(std::move(folder)), sync_(std::move(sync))
{
}


outcome shared_sync::run()
{
    std::unique_lock lock(mutex_);
    if (!next_) {
        next_ = std::make_shared<turn>();
    }
    const auto own = next_;
    over_.wait(lock, [&] { return own->is_over || !is_running_; });
    if (own->is_over) {
        return own->ended;
    }
    next_ = nullptr; // it is `own`: those that come from here on have changed something since
    is_running_ = true;
    lock.unlock();
    outcome ended = sync_(folder_);
    lock.lock();
    own->ended = ended;
    own->is_over = true;
    is_running_ = false;
    over_.notify_all();
    return ended;
}

} // namespace rollout
