// The election of the leader by a key in etcd, as one candidate goes through it. Decides and asks; knows no connection.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/etcd/keep_alive.hpp"
#include "worker/leadership/leadership.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

struct election_settings {
    std::string host;
    std::string key;               ///< of the leader: `/rollout/default/s/leader`
    std::string hosts;             ///< what all hosts' keys begin with: `/rollout/default/l/hosts/`
    std::chrono::seconds lease{4}; ///< how long a leader that is silent stays one
};

/// docs/architecture.md draws it.
enum class election_state {
    stopped,    ///< not started yet, or resigned for good
    following,  ///< another one leads, or none is known, or this one wants not to
    ranking,    ///< nobody leads: asks who else is a candidate
    waiting,    ///< for those that come first
    granting,   ///< asks for a lease
    claiming,   ///< puts the key, if it is absent
    confirming, ///< the claim had no answer: reads whose the key is
    leading,
    resigning, ///< gives its lease back
};

std::string_view name_of(election_state state) noexcept;

/// Leads from the moment that etcd has its key with its lease, and by its own clock not longer than the lease lasts, less a
/// tenth: it stops before etcd can have another leader. It also stops if a read shows that the key is not its own any more,
/// as etcd has ended leases early, and has answered renewals of those that were gone.
class election {
  public:
    struct events {
        std::function<void(leader_token)> on_elected;
        std::function<void(std::string why)> on_deposed;
        std::function<void()> on_change; ///< of leader() or trouble()
    };

    /// `asked` and `time` must outlive it. Events come from the loop and may destroy it.
    election(etcd::calls &asked, clock &time, election_settings settings, events told);
    ~election();
    election(const election &) = delete;
    election &operator=(const election &) = delete;

    void start();

    /// Whether it becomes a candidate when nobody leads; one that leads and may not is deposed.
    void stand(bool wanted);

    /// The leader's key may have changed, says a watch: it is read soon. Without a watch, it is read every half of the lease's
    /// time.
    void poll();

    /// Gives its lease back and ends.
    void resign(std::function<void()> done);

    std::optional<leader_token> token() const;
    const std::optional<known_leader> &leader() const noexcept { return leader_; }
    const std::string &trouble() const noexcept
    {
        return to_reading_.sentence.empty() ? to_standing_.sentence : to_reading_.sentence;
    }
    election_state state() const noexcept { return state_; }

    /// Returns the clock's time until which this one leads, if its lease is not renewed. 0: it does not lead.
    std::chrono::milliseconds leads_until() const noexcept;

  private:
    /// What stands in the way, logged once for each cause.
    struct obstacle {
        std::string sentence;
        std::optional<etcd::failure::cause> because;
    };

    void poll_after(std::chrono::milliseconds time);
    void read_leader();
    void on_read(const etcd::answer<etcd::range_answer> &got);
    void on_key(const etcd::key_value *entry, std::int64_t revision);
    void follow_key(const etcd::key_value *entry);
    void check_own(const etcd::key_value *entry, std::int64_t revision);
    void confirm(const etcd::key_value *entry);
    void rank();
    void on_candidates(const etcd::answer<etcd::range_answer> &got);
    void ask_for_lease();
    void on_granted(std::chrono::milliseconds asked_at, const etcd::answer<etcd::lease_answer> &got);
    void claim();
    void on_claimed(const etcd::answer<etcd::txn_answer> &got);
    void on_lease_lost(const std::string &why);
    void elect(leader_token token);
    void depose(std::string why);
    void follow(std::chrono::milliseconds poll_in);
    void give_lease_back();

    void know(std::optional<known_leader> leader);
    void meet(obstacle &which, const etcd::failure &why, std::string_view what_fails);
    void pass(obstacle &which);
    void settle();

    etcd::calls &asked_;
    clock &time_;
    election_settings settings_;
    events told_;

    election_state state_ = election_state::stopped;
    bool wanted_ = true;
    bool read_again_ = false; ///< a change was told while the key was read
    leader_token token_ = 0;  ///< while leading
    std::optional<known_leader> leader_;
    known_leader last_leader_; ///< the last one that was known
    obstacle to_reading_;
    obstacle to_standing_;

    std::unique_ptr<etcd::keep_alive> lease_; ///< from `claiming` to `leading`
    operation_ptr pause_;                     ///< before the key is read again
    operation_ptr reading_;
    operation_ptr step_; ///< the call of the state, or its pause
    operation_ptr revocation_;
    operation_ptr soon_; ///< settle(), after a call from outside

    // What settle() is to tell.
    bool changed_ = false;
    std::optional<leader_token> elected_;
    std::optional<std::string> deposed_;
    std::shared_ptr<int> lives_ = std::make_shared<int>(0);
};

} // namespace rollout
