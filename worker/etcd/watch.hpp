// Changes of a range of keys, in order, without a gap: the stream is resumed behind what its owner has taken in.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/etcd/access.hpp"
#include "worker/etcd/messages.hpp"
#include "worker/etcd/rpc_thread.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rollout::etcd {

struct watched_range {
    std::string key;
    std::string range_end;    ///< empty: one key
    std::int64_t applied = 0; ///< the revision behind which the changes begin
    /// Without an event for that long, the member is taken to keep them back, and the next one is asked. 0: it may be silent,
    /// for a range in which nothing is put regularly.
    std::chrono::milliseconds silence{6000};
};

/// Who is told of the changes, on the loop. Each call may destroy the watch.
class watcher {
  public:
    virtual ~watcher() = default;

    /// All events of one or several revisions, none of them at or below the applied one. No more come until the owner has
    /// called watch::applied() with the last one's revision.
    virtual void on_events(std::vector<watch_event> events) = 0;

    /// etcd does not keep the events behind the applied revision any more: the owner must read the range anew. The watch has
    /// ended. `oldest`: the first revision that is kept.
    virtual void on_compacted(std::int64_t oldest) = 0;

    /// The stream is broken, or the member refuses it. The watch goes on by itself, also after a refusal.
    virtual void on_trouble(const failure &why) = 0;
};

/// Has a connection of its own: etcd has let watches starve beside reads (its issue 15402). The applied revision is moved by
/// events alone: a member's word that nothing has happened has been wrong. A deletion may never be told (etcd's issues 18089
/// and 19179): no decision may rest on one.
class watch {
  public:
    /// All must outlive the watch.
    watch(rpc_thread &thread, clock &time, std::shared_ptr<const access> to, watched_range range, watcher &told);
    ~watch();
    watch(const watch &) = delete;
    watch &operator=(const watch &) = delete;

    /// The owner has taken in everything up to that revision. Not below an earlier one.
    void applied(std::int64_t revision);

    std::int64_t applied() const noexcept;

    /// Returns whether a member has accepted the watch, and its stream is there.
    bool is_live() const noexcept;

  private:
    class implementation;
    std::shared_ptr<implementation> implementation_;
};

} // namespace rollout::etcd
