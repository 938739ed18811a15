#include "worker/fs/shared_sync.hpp"

#include <exception>
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
    ++own->waiting;
    over_.wait(lock, [&] { return own->is_over || !is_running_; });
    if (own->is_over) {
        return own->ended;
    }
    next_ = nullptr; // it is `own`: those that come from here on have changed something since
    is_running_ = true;
    lock.unlock();
    outcome ended;
    try {
        ended = sync_(folder_);
    } catch (const std::exception &error) {
        ended = outcome::transient(folder_.string() + " could not be synced: " + error.what());
    }
    lock.lock();
    own->end(ended);
    if (!ended && next_) { // the kernel reports a failed write once
        std::exchange(next_, nullptr)->end(ended);
    }
    is_running_ = false;
    over_.notify_all();
    return ended;
}


std::size_t shared_sync::waiting()
{
    const std::lock_guard lock(mutex_);
    return next_ ? next_->waiting : 0;
}

} // namespace rollout
