// What the rolloutd that leads knows of the gateways of all hosts, by their records in etcd.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/fleet/gateway_record.hpp"
#include "worker/leadership/leadership.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace rollout {

/// Reads them while it leads: all in one transaction with the hosts that live, so that both are of one revision. It is told by
/// a watch when to, and reads now and then all the same: a watch may keep a change back.
///
/// The gateways of a host that has no lease any more are waited for `isolated_for`, then their records are removed. Only the
/// time counts in which this one leads and etcd answers, from the first read that missed the host.
class fleet_view {
  public:
    struct member {
        std::optional<gateway_record> record; ///< nothing: it cannot be read, and the gateway may route to anything
        bool is_host_there = false;
        std::int64_t missed_since_us = 0; ///< the host; in microseconds since 1970, UTC

        /// Returns whether new routes can be expected to reach it soon.
        bool is_reachable() const noexcept { return record && record->is_linked && is_host_there; }

        /// Returns up to which revision it is known to follow the routes.
        std::uint64_t followed() const noexcept { return record ? record->followed : 0; }

        bool operator==(const member &) const = default;
    };
    using members = std::map<std::string, member>; ///< by the gateways' ids

    /// Between two reads that a watch asks for, and between two that nobody asks for.
    static constexpr std::chrono::milliseconds least_pause{20};
    static constexpr std::chrono::milliseconds longest_pause{1000};

    /// Time between two answers counts if it is not longer than that; else etcd may have been away.
    static constexpr std::chrono::milliseconds longest_step{4000};

    /// The host of a record that cannot be read has at least that long to mend it.
    static constexpr std::chrono::milliseconds mending_time{30000};

    /// `asked` and `time` must outlive it. `on_read` is called, from the loop, when the records were read, with
    /// whether they are others than before.
    fleet_view(etcd::calls &asked, clock &time, cluster::keys names, std::function<void(bool changed)> on_read);
    fleet_view(const fleet_view &) = delete;
    fleet_view &operator=(const fleet_view &) = delete;

    /// This one leads, by that token. 0: it leads no more, and knows nothing.
    void lead(leader_token token);

    /// How long the gateways of a host without a lease are waited for; 0: until they are back.
    void wait_for_isolated(std::chrono::seconds most) noexcept { isolated_for_ = most; }

    /// A record or a host may have changed.
    void poll();

    /// Returns whether the records were read after that revision of the journal was written: so nobody is missed who could
    /// have routes from before it.
    bool has_read(std::uint64_t revision) const noexcept;

    const members &gateways() const noexcept { return members_; }

  private:
    /// A gateway whose host has no lease, or whose record cannot be read.
    struct absence {
        std::int64_t since_us = 0;
        std::chrono::milliseconds counted{0};
        operation_ptr removal; ///< under way
    };

    void read();
    void on_answer(const etcd::answer<etcd::txn_answer> &got);
    void take(const etcd::range_answer &records, const etcd::range_answer &hosts);
    void note_absence(const etcd::key_value &entry, const std::string &id, member &of,
                      std::chrono::milliseconds step);
    void remove(const etcd::key_value &entry, const std::string &id, const member &of);

    etcd::calls &asked_;
    clock &time_;
    cluster::keys names_;
    std::function<void(bool)> on_read_;
    std::chrono::milliseconds isolated_for_{0};
    leader_token token_ = 0;
    members members_;
    std::map<std::string, absence> absences_;              ///< by the gateways' ids
    std::int64_t read_at_ = 0;                             ///< etcd's revision of the last read; 0: none yet
    std::optional<std::chrono::milliseconds> answered_at_; ///< by the clock
    std::chrono::milliseconds asked_at_{0};
    bool read_again_ = false;
    operation_ptr reading_;
    operation_ptr pause_;
};

} // namespace rollout
