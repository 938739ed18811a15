// The gateways that rolloutd knows: those that are linked, and those that have lost their last link but may still be
// routing. Sends what goes to all of them, and holds the waits for all of them to follow.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/gateway/follow_waits.hpp"
#include "worker/gateway/gateway_replica.hpp"
#include "worker/gateway/local_gateways.hpp"
#include "worker/gateway/published_routes.hpp"
#include "worker/os/peer_processes.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout {

/// A gateway without a link is known as long as its processes live, and for `lost_for` at most: it may still route.
/// After some seconds it counts as out of reach. The journal stores which gateways are known, so that a restarted
/// rolloutd knows the earlier ones. Journal and clock outlive the registry.
class gateway_registry {
  public:
    gateway_registry(journal &journal, clock &time);
    gateway_registry(const gateway_registry &) = delete;
    gateway_registry &operator=(const gateway_registry &) = delete;

    /// Reads from the journal which routes are in force, and which gateways were known to the previous rolloutd. Called once,
    /// before the first link; `done` is called when all of it is there, or with the reason why it is not.
    void load(done_fn done);

    /// Reads the routes anew, until that succeeds, as the journal's content was replaced; see gateway_replica::on_replaced.
    /// `done` is told the same.
    void reload(bool is_other, std::function<void(bool is_other)> done);

    /// Gateways can connect from now on: until now, none that was known could be expected to have a link.
    void expect_links();

    /// Called when a gateway has followed further, or is no longer known: what could not be unloaded because of it may
    /// be now. May be null.
    std::function<void()> on_progress;

    /// Called when `states()` or `where()` returns something else, maybe: often. May be null.
    std::function<void()> on_change;

    // As in `local_gateways`.
    std::vector<local_gateways::gateway_state> states() const;
    local_gateways::position where() const noexcept { return {routes_.revision(), routes_.models_revision(), seen_}; }
    void add_lost(const std::vector<known_gateway> &all);

    /// Sets how long a gateway without a link is waited for at most.
    void wait_for_lost(std::chrono::milliseconds most) noexcept { lost_for_ = most; }

    /// Returns the gateway with that id; null if it is not known.
    gateway_replica *find(const std::string &id);
    bool knows(const std::string &id) const { return known_.contains(id); }

    /// Adds the link of a worker process that has just named its gateway. Null if there are too many gateways already
    /// (limits::gateways).
    gateway_replica *join(const session_ptr &link, const std::string &id);

    /// Removes a link that has ended. After its last link, a gateway is forgotten if the worker process said goodbye,
    /// and lost otherwise.
    void leave(const session_ptr &link);

    /// Notes up to which revision a worker process's gateway follows the routes.
    void confirm(const session &by, std::uint64_t routes_revision);

    /// Called when there is room for more on that link.
    void on_written(const session_ptr &link);

    const published_routes &routes() const noexcept { return routes_; }

    /// Returns the link that carries each gateway's stream, null for a lost gateway.
    std::vector<session_ptr> streams() const;

    /// Sends changed tasks to every stream.
    void send_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now);

    /// Sends those routes that a commit has changed to every gateway. One that has all routes follows every write up to
    /// this commit, also those that have changed none.
    void follow(const journal_news &news);

    // As in `gateway_control`.
    void publish_peers(const std::string &model_id, std::uint64_t revision, const std::string &server_model,
                       const std::optional<std::vector<std::string>> &peers);
    void reset_peers();
    std::string missing() const;
    operation_ptr when_followed(std::uint64_t revision, gateway_control::awaited whom, done_fn done);
    gateway_control::followers followers_of(std::uint64_t revision, gateway_control::awaited whom) const;
    std::string routing_before(std::uint64_t revision) const;
    std::string objection_to(const std::string &upstream) const;
    std::vector<std::string> servers_missing_in(const std::string &upstream,
                                                const std::vector<std::string> &peers) const;

    /// Starts nothing more; the links may end.
    void stop();

  private:
    struct member {
        member(std::string id, gateway_replica::surroundings around) : replica(std::move(id), std::move(around)) {}

        gateway_replica replica;
        peer_processes processes;
        std::int64_t linked_at_us = 0;        ///< if it is linked, in microseconds since 1970
        std::chrono::milliseconds lost_at{0}; ///< by the clock, if the gateway is lost
        std::int64_t lost_at_us = 0;          ///< the same for people, in microseconds since 1970
        bool lost_logged = false;
    };

    void read_routes(done_fn done);
    void add_known(const std::vector<known_gateway> &all);
    void note_lost(member &which) const;
    void send(const std::vector<route> &changed, std::uint64_t revision) const;
    member &add(const std::string &id);
    bool has_lost() const;
    bool is_reachable(const member &which) const;
    std::string words_of(const member &lost) const;
    bool is_shared() const;
    void tell_shared() const;
    void warn_of_unknown_upstreams(const gateway_replica &of, const session &by) const;
    void lose(member &which, bool is_first);
    bool is_to_be_dropped(member &which) const;
    void drop_lost();
    void note_followed(gateway_replica &by) const;
    void check_waits();
    void note_progress() const;
    void note_change() const;
    void pump_all();

    /// Routes that are read from the journal.
    struct coming_routes {
        published_routes routes;
        std::set<std::string> followed; ///< the models that there were news of meanwhile
    };

    journal &journal_;
    clock &time_;
    std::chrono::milliseconds lost_for_{0};
    published_routes routes_;
    std::optional<coming_routes> coming_;
    bool replaced_by_other_ = false; ///< what the journal has, since the routes were read last
    std::uint64_t seen_ = 0;         ///< the routes are as the journal had them at this revision
    std::map<std::string, std::unique_ptr<member>> known_; ///< by id
    follow_waits waits_for_known_;
    follow_waits waits_for_reachable_;
    operation_ptr loading_;
    operation_ptr lost_timer_;
    operation_ptr progress_; ///< what waits is about to be looked at
    operation_ptr reread_;
    bool stopped_ = false;
    lifetime lifetime_;
};

} // namespace rollout
