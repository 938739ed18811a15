// A rolloutd's own record in etcd, which is there as long as its host is.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/etcd/keep_alive.hpp"
#include "worker/leadership/etcd/host_record.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// docs/architecture.md draws it.
enum class registration_state {
    stopped,    ///< not started yet, or left for good
    granting,   ///< asks for a lease
    putting,    ///< its record, with the lease
    registered, ///< reads its record from time to time
    displaced,  ///< another rolloutd uses this host's name: reads its record until that has gone
    leaving,    ///< gives its lease back
};

std::string_view name_of(registration_state state) noexcept;

/// Puts the record again within a third of its lease's time if it is gone though the process lives, as etcd may end a lease
/// early.
class host_registration {
  public:
    /// `key` is the record's, `/rollout/default/l/hosts/` and the host. `asked` and `time` must outlive it. `on_change` (of
    /// what the functions below return) comes from the loop and may destroy it.
    host_registration(etcd::calls &asked, clock &time, std::string key, std::chrono::seconds lease,
                      std::function<void()> on_change);
    ~host_registration();
    host_registration(const host_registration &) = delete;
    host_registration &operator=(const host_registration &) = delete;

    void start(host_record record);

    /// Replaces what the record says.
    void update(host_record record);

    /// Removes the record, with its lease, and ends. The callback comes when that is done, or could not be.
    void leave(std::function<void()> done);

    registration_state state() const noexcept { return state_; }

    /// Returns its lease, with which everything of its host ends; 0: there is none now.
    std::int64_t lease() const noexcept { return lease_ ? lease_->id() : 0; }

    /// Returns the clock's time until which that lease lives, if it is not renewed; 0: there is none.
    std::chrono::milliseconds lease_until() const noexcept
    {
        return lease_ ? lease_->until() : std::chrono::milliseconds(0);
    }

    /// Returns the clock's time at which the last read was sent that has shown this process's record with its own lease.
    /// Nothing: none has yet.
    std::optional<std::chrono::milliseconds> seen_at() const noexcept { return seen_at_; }

    /// Returns why the record is not there, a sentence; empty if nothing stands in the way.
    const std::string &trouble() const noexcept { return trouble_; }

  private:
    void ask_for_lease();
    void on_granted(std::chrono::milliseconds asked_at, const etcd::answer<etcd::lease_answer> &got);
    void put();
    void on_put(const etcd::answer<etcd::put_answer> &got);
    void read();
    void on_read(std::chrono::milliseconds sent_at, const etcd::answer<etcd::range_answer> &got);
    void check(const etcd::key_value *entry, std::chrono::milliseconds sent_at);
    void begin_anew();
    void again_after(std::chrono::milliseconds time, void (host_registration::*step)());
    void meet(const etcd::failure &why);
    void meet(std::string sentence, etcd::failure::cause because);
    void pass();
    void enter(registration_state state);
    void settle();

    etcd::calls &asked_;
    clock &time_;
    std::string key_;
    std::chrono::seconds ttl_;
    std::function<void()> on_change_;

    registration_state state_ = registration_state::stopped;
    host_record record_;
    std::string value_;       ///< its text
    std::int64_t put_at_ = 0; ///< the revision of the last put that was answered
    std::optional<std::chrono::milliseconds> seen_at_;
    std::string trouble_;
    std::optional<etcd::failure::cause> trouble_because_;
    bool changed_ = false;

    std::unique_ptr<etcd::keep_alive> lease_;
    operation_ptr step_; ///< the call under way, or the pause before the next one
    operation_ptr revocation_;
};

} // namespace rollout
