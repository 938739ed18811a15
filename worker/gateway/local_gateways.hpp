// What a host can say of its own gateways, for those who tell other hosts.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Used on the loop's thread.
class local_gateways {
  public:
    virtual ~local_gateways() = default;

    /// A gateway that is linked, or that may still be routing.
    struct gateway_state {
        std::string id;
        bool is_linked = false;
        std::int64_t since_us = 0;  ///< linked or lost, in microseconds since 1970
        std::uint64_t followed = 0; ///< it follows the routes up to that revision, and has told this process so
        std::string processes;      ///< `peer_processes::text()`
    };
    virtual std::vector<gateway_state> gateways() const = 0;

    /// Returns whether `gateways()` has it.
    virtual bool knows(const std::string &gateway) const = 0;

    /// How far this host is with the journal, as revisions.
    struct position {
        std::uint64_t routes = 0; ///< no route has changed after that
        std::uint64_t models = 0; ///< nor has a model been written after that
        std::uint64_t seen = 0;   ///< the routes are as the journal had them then
    };
    virtual position where() const = 0;

    /// A revision that is out of the traffic and may still be loaded.
    struct unrouted_revision {
        std::string model_id;
        std::uint64_t revision = 0;
        part_names parts;
        std::uint64_t routed_at = 0; ///< `routed_at()` of the model: it has not been in the traffic since
    };

    /// Returns those that no route names as of `where()`, and that are not known to be drained.
    virtual std::vector<unrouted_revision> unrouted() const = 0;

    /// Returns the revision at which the model's routes have changed last, or a later one at which the model was written.
    virtual std::uint64_t routed_at(const std::string &model_id) const = 0;

    /// Returns the revision that a gateway must follow so that it has the routes of a model that was written at `revision`:
    /// that of the newest change of routes up to there. `revision` itself if the journal here has not come to it.
    virtual std::uint64_t change_up_to(std::uint64_t revision) const = 0;

    /// Counts the requests of one gateway in flight on a model's revision, over all of its parts; no value if the gateway does
    /// not answer.
    virtual operation_ptr in_flight_at(const std::string &gateway, const unrouted_revision &on,
                                       std::function<void(std::optional<std::uint64_t>)> done) = 0;

    /// Adds gateways of an earlier rolloutd of this host that are not known here: as lost, so that they are waited for as those
    /// are that the journal has.
    virtual void add_lost(const std::vector<known_gateway> &all) = 0;
};

} // namespace rollout
