// Tells when keys change, for those who then read them.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/etcd/access.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/etcd/watch.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

/// It may keep silent, also about a deletion: those who rely on it read the keys now and then all the same. They meet its
/// troubles as well, and so it reports none.
class change_watch final : public etcd::watcher {
  public:
    /// Of one key, or of all that begin with a prefix.
    enum class range { key, prefix };

    /// All but `on_change` must outlive it. `on_change` comes from the loop and may destroy it.
    change_watch(etcd::rpc_thread &thread, clock &time, std::shared_ptr<const etcd::access> to, std::string key,
                 range what, std::function<void()> on_change);

  private:
    void on_events(std::vector<etcd::watch_event> events) override;
    void on_compacted(std::int64_t oldest) override;
    void on_trouble(const etcd::failure &) override {}
    void begin(std::int64_t applied);

    etcd::rpc_thread &thread_;
    clock &time_;
    std::shared_ptr<const etcd::access> access_;
    std::string key_;
    range range_;
    std::function<void()> on_change_;
    std::unique_ptr<etcd::watch> watch_;
};

} // namespace rollout
