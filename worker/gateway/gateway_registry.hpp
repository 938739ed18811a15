// The gateways that rolloutd knows: those that are linked, and those that have lost their last link and may route still. What goes to
// all of them goes through here, and who waits until all follow, waits here.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/gateway/follow_waits.hpp"
#include "worker/gateway/gateway_replica.hpp"
#include "worker/gateway/published_routes.hpp"
#include "worker/os/peer_processes.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

/// A gateway without a link is waited for as long as its processes live, and `lost_for` at most. The journal keeps which gateways are
/// known, so that a rolloutd that has just started waits for those of before. Journal and clock outlive the registry.
class gateway_registry {
  public:
    gateway_registry(journal &journal, clock &time);
    gateway_registry(const gateway_registry &) = delete;
    gateway_registry &operator=(const gateway_registry &) = delete;

    /// How long a gateway without a link is waited for at most.
    void wait_for_lost(std::chrono::milliseconds most) noexcept { lost_for_ = most; }

    /// The gateway of that name; null if it is not known.
    gateway_replica *find(const std::string &id);

    /// A worker process says that it is of that gateway, for the first time. Null if there are as many as may be (limits::gateways).
    gateway_replica *join(const session_ptr &link, const std::string &id);

    /// A link has ended. The gateway of the last one is forgotten if the worker process said goodbye, and lost otherwise.
    void leave(const session_ptr &link);

    /// A worker process says up to where its gateway follows the routes.
    void confirm(const session &by, std::uint64_t routes_revision);

    /// There is room for more on that link.
    void on_written(const session_ptr &link);

    const published_routes &routes() const noexcept { return routes_; }

    /// The link that carries each gateway's stream, null for one that is lost.
    std::vector<session_ptr> streams() const;

    /// Changed tasks, to every stream.
    void send_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now);

    // As in `traffic`.
    void publish(const route &to_follow, std::uint64_t revision);

    /// Publishes the routes in force of a model that lead to that revision, by its name on the servers, with these servers.
    void publish_peers(const std::string &model_id, std::uint64_t revision, const std::string &server_model,
                       const std::optional<std::vector<std::string>> &peers);
    std::string missing() const;
    operation_ptr when_followed(std::uint64_t revision, done_fn done);
    gateway_control::followers followers_of(std::uint64_t revision) const;
    std::string objection_to(const std::string &upstream) const;

    /// Starts nothing any more; the links may end.
    void stop();

  private:
    struct member {
        member(std::string id, gateway_replica::surroundings around) : replica(std::move(id), std::move(around)) {}

        gateway_replica replica;
        peer_processes processes;
        std::chrono::milliseconds lost_at{0}; ///< by the clock, if it is lost
        std::int64_t lost_at_us = 0;          ///< the same for people, since 1970
        bool lost_logged = false;
    };

    member &add(const std::string &id);
    bool has_lost() const;
    bool is_shared() const;
    void tell_shared() const;
    void warn_of_unknown_upstreams(const gateway_replica &of, const session &by) const;
    void lose(member &which, bool is_first);
    bool is_to_be_dropped(member &which) const;
    void drop_lost();
    void check_waits();
    void pump_all();

    journal &journal_;
    clock &time_;
    std::chrono::milliseconds lost_for_{0};
    published_routes routes_;
    std::map<std::string, std::unique_ptr<member>> known_; ///< by id
    follow_waits waits_;
    operation_ptr lost_timer_;
    operation_ptr reread_;
    bool stopped_ = false;
};

} // namespace rollout
