// The routes in force, by model and part, as every gateway must follow them: stored, and formatted as frames.
#pragma once

#include "common/domain/route.hpp"
#include "worker/domain/model.hpp"
#include "worker/gateway/local_gateways.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace rollout {

/// What the journal says of each model, but for the servers that have a revision: where more is known of these, that is
/// in force.
class published_routes {
  public:
    /// Where servers are set: the revision of a model that is called `server_model` on them.
    struct target {
        std::string model_id;
        std::uint64_t revision;
        std::string server_model;

        auto operator<=>(const target &) const = default;
    };

    /// Takes over a model as it is at a start, when no gateway is linked.
    void load(const model &from);

    /// Takes over a model as it has been durable since its `route_revision`. Returns the routes that are others than
    /// before, as they are in force now; one without a target for each part that is not served any more.
    std::vector<route> follow(const model &changed);

    /// Sets the servers of a revision, until the journal says the same or the revision has no route any more. Returns
    /// the routes that changes, as they are in force now.
    std::vector<route> set_peers(const target &which, const std::optional<std::vector<std::string>> &peers);

    /// Forgets all servers that were set. Returns the routes that this changes.
    std::vector<route> reset_peers();

    /// Returns a model's routes in force, one for each of its parts.
    std::vector<route> of(const std::string &model_id) const;

    /// Returns the revision of the newest route.
    std::uint64_t revision() const noexcept { return revision_; }

    /// Returns the revision of the newest write of a model.
    std::uint64_t models_revision() const noexcept { return models_revision_; }

    // As in `local_gateways`.
    std::vector<local_gateways::unrouted_revision> unrouted() const;
    std::uint64_t changed_at(const std::string &model_id) const;

    /// Returns the newest of the models' last changes of routes up to that revision; 0: there is none.
    std::uint64_t change_up_to(std::uint64_t revision) const;

    /// Returns the frame of one change.
    static std::string change(const route &to_follow, std::uint64_t revision);

    /// Returns the frames of all routes, in order: the gateway removes routes that are in none of them.
    std::vector<std::string> full_set() const;

    /// Returns the upstreams that these routes lead to.
    std::set<std::string> upstreams() const;

  private:
    std::vector<route> durable_of(const std::string &model_id) const;
    route in_force(const route &durable) const;
    void drop_peers_of(const std::string &model_id, bool also_unused);
    void note_unrouted(const model &of);
    void note_changed(const model &of);

    std::map<std::pair<std::string, std::string>, route> routes_;     ///< as the journal has them, by model and part
    std::map<target, std::optional<std::vector<std::string>>> peers_; ///< known better than in the journal
    std::uint64_t revision_ = 0;
    std::uint64_t models_revision_ = 0;
    std::multiset<std::uint64_t> changes_;                                           ///< the values of `changed_at_`
    std::map<std::string, std::uint64_t> changed_at_;                                ///< by model
    std::map<std::string, std::vector<local_gateways::unrouted_revision>> unrouted_; ///< the same
};

} // namespace rollout
