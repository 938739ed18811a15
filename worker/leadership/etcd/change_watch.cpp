#include "worker/leadership/etcd/change_watch.hpp"

#include "worker/etcd/messages.hpp"

#include <utility>

namespace rollout {

change_watch::change_watch(etcd::rpc_thread &thread, clock &time, std::shared_ptr<const etcd::access> to,
                           std::string key, range what, std::function<void()> on_change)
    : thread_(thread), time_(time), access_(std::move(to)), key_(std::move(key)), range_(what),
      on_change_(std::move(on_change))
{
    begin(0); // what etcd still has of the past is told as well, and makes for a read too many
}


void change_watch::begin(std::int64_t applied)
{
    etcd::watched_range watched;
    watched.key = key_;
    watched.range_end = range_ == range::prefix ? etcd::end_of_prefix(key_) : std::string();
    watched.applied = applied;
    watched.silence = std::chrono::milliseconds(0);
    watch_ = std::make_unique<etcd::watch>(thread_, time_, access_, std::move(watched), *this);
}


void change_watch::on_events(std::vector<etcd::watch_event> events)
{
    watch_->applied(events.back().entry.mod_revision);
    const auto call = on_change_;
    call();
}


void change_watch::on_compacted(std::int64_t oldest)
{
    begin(oldest - 1);
    const auto call = on_change_;
    call();
}

} // namespace rollout
