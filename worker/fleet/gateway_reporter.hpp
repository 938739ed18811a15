// Says of this host's gateways, in etcd, what the rolloutd that leads must know before it unloads anything: which there are,
// which routes they follow, and what they still have in flight.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/fleet/busy_count.hpp"
#include "worker/fleet/gateway_record.hpp"
#include "worker/fleet/record_keeper.hpp"
#include "worker/gateway/local_gateways.hpp"
#include "worker/leadership/leadership.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Every host has one. A gateway has a record before it gets its first routes from this process, and those are at least as new
/// as the record: a leader that reads the records after a change of a route misses no gateway that could have the route from
/// before. The record stays until the gateway has said goodbye, its processes have ended, or it was lost for too long
/// (gateway_registry.hpp).
///
/// What a gateway follows is published together with what it had in flight on revisions out of the traffic, counted when no
/// new request could begin there any more. It is published when a route has changed, and when another leader begins, which
/// waits for writes of those before it; other writes of models are followed within lazy_pause.
class gateway_reporter {
  public:
    struct settings {
        cluster::keys names;
        std::string host;
    };

    /// As etcd_journal::current.
    using current_fn = std::function<void(std::function<void(bool)> done)>;

    static constexpr std::chrono::milliseconds longest_wait = std::chrono::seconds(5); ///< before_first_routes
    static constexpr std::chrono::milliseconds lazy_pause = std::chrono::seconds(10);
    static constexpr std::chrono::milliseconds count_pause{100};                      ///< of what is in flight
    static constexpr std::chrono::milliseconds check_pause = std::chrono::seconds(5); ///< of the records

    /// `asked`, `time` and `own` must outlive it. Reads at once which records there are of this host: those of gateways that
    /// `own` does not know are lost ones.
    gateway_reporter(etcd::calls &asked, clock &time, local_gateways &own, settings of, current_fn current);
    gateway_reporter(const gateway_reporter &) = delete;
    gateway_reporter &operator=(const gateway_reporter &) = delete;

    /// Calls back when etcd has a record of the gateway, and the journal here all that was written before that; or after
    /// longest_wait, if etcd does not answer: what is known is served, and the record is put as soon as it can be. May call
    /// from inside. `own` knows the gateway.
    void before_first_routes(const std::string &gateway, std::function<void()> go_on);

    /// `own` may say something else than before.
    void on_change();

    /// Another one leads, by that token.
    void on_leader(leader_token token);

    /// The journal's content was replaced. `is_other`: by that of another journal, whose routes no gateway follows yet. Until
    /// on_reloaded(), what `own` says of routes is out of date.
    void on_replaced(bool is_other);
    void on_reloaded();

    /// A leader may have removed the records: the host's lease had ended. They are read, which is done from time to time as
    /// well.
    void check_records();

  private:
    /// Routes on their way to be published as followed.
    struct following {
        local_gateways::position to;
        std::vector<local_gateways::unrouted_revision> unrouted; ///< by these routes
    };

    /// Revisions without requests, which get no more until the model's routes change: with the revision at which these had
    /// changed last.
    using idle_revisions = std::map<gateway_record::revision_name, std::uint64_t>;

    struct report {
        gateway_record record;
        std::unique_ptr<record_keeper> keeper;
        bool is_known = false;   ///< to `own`
        bool is_adopted = false; ///< what a process before this one had said of it was taken over

        // The first routes.
        bool is_recorded = false; ///< what before_first_routes() waits for
        bool is_overdue = false;  ///< that has taken too long: nothing is waited for
        std::uint64_t puts = 0;   ///< of the record, as far as it was gone before
        std::uint64_t asked_at =
            0; ///< the puts when the journal was asked whether it is current; 0: it is not being asked
        std::vector<std::function<void()>> waiting;
        operation_ptr deadline;
        operation_ptr again;

        // What it follows.
        std::optional<following> round;
        std::chrono::milliseconds followed_at{0}; ///< by the clock: the end of the last round
        idle_revisions idle;
        std::unique_ptr<busy_count> count;
        operation_ptr pause; ///< before the next count, or the next round
    };

    report &report_of(const std::string &gateway);
    report *find(const std::string &gateway);
    void list_own();
    void on_listed(const etcd::range_answer &got);
    void evaluate();
    void adopt(const std::string &gateway, const std::string &text);
    void on_kept(const std::string &gateway);
    void ask_whether_current(const std::string &gateway);
    static void let_in(report &of);
    void on_overdue(const std::string &gateway);

    void follow(const std::string &gateway, report &of, std::uint64_t confirmed);
    bool is_due(const report &of, const local_gateways::position &here) const;
    void begin_count(const std::string &gateway, report &of);
    void finish_round(const std::string &gateway, const busy_count::counts &counted);
    static void drop_routed(report &of, const std::vector<local_gateways::unrouted_revision> &unrouted);
    void count_busy_later(const std::string &gateway, report &of);
    void count_busy(const std::string &gateway);
    void on_busy(const std::string &gateway, const std::vector<local_gateways::unrouted_revision> &on,
                 busy_count::counts counted);
    static void note(report &of, const std::vector<local_gateways::unrouted_revision> &on,
                     const busy_count::counts &counted);
    void keep(report &of) const { of.keeper->keep(text_of(of.record)); }
    void on_checked(const std::vector<std::pair<std::string, std::int64_t>> &asked, const etcd::txn_answer &got);

    etcd::calls &asked_;
    clock &time_;
    local_gateways &own_;
    settings settings_;
    current_fn current_;
    leader_token leader_ = 0;   ///< the last one that was known
    bool is_reloading_ = false; ///< from on_replaced() to on_reloaded()
    std::map<std::string, std::unique_ptr<report>> reports_;
    operation_ptr listing_; ///< under way, or the pause before it
    operation_ptr soon_;    ///< evaluate()
    operation_ptr later_;   ///< the same, for what the journal here has yet to come to
    operation_ptr check_;   ///< the pause before check_records()
    operation_ptr checking_;
    lifetime lifetime_;
};

} // namespace rollout
