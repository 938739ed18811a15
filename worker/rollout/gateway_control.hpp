// What the engine needs from the gateways: that they follow the routes of its models, which they get from the journal's
// news, and how many requests they have in flight.
#pragma once

#include "common/domain/route.hpp"
#include "common/domain/traffic_counters.hpp"
#include "worker/async/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// The parts of a model, sorted; a single empty name if the model has no parts.
using part_names = std::vector<std::string>;

class gateway_control {
  public:
    virtual ~gateway_control() = default;

    /// Sets the servers that have a revision of a model, which is called `server_model` there, in the model's routes:
    /// until the journal says the same, or the revision has no route any more. This need not be durable, nor is it
    /// confirmed.
    virtual void publish_peers(const std::string & /*model_id*/, std::uint64_t /*revision*/,
                               const std::string & /*server_model*/,
                               const std::optional<std::vector<std::string>> & /*peers*/)
    {
    }

    /// Forgets what `publish_peers` has set: the routes are as the journal has them.
    virtual void reset_peers() {}

    /// Returns which known gateways are not connected but may still be routing, as a sentence without its full stop;
    /// empty if all are connected.
    virtual std::string missing() const { return {}; }

    /// The gateways that a wait is for. A disconnected gateway may still be routing, by the routes that it has: it is
    /// known as long as its processes live, and for limits.gateway_lost_s at most.
    enum class awaited {
        reachable, ///< those that are connected, and those that were some seconds ago
        known,     ///< all
    };

    /// Succeeds once each of these gateways follows the routes up to `revision`, and there is at least one.
    virtual operation_ptr when_followed(std::uint64_t revision, awaited whom, done_fn done) = 0;

    /// How far the gateways have followed the routes up to `revision`, for messages.
    struct followers {
        std::size_t known = 0;  ///< of those that are asked for
        std::size_t behind = 0; ///< how many of these do not follow yet
    };
    virtual followers followers_of(std::uint64_t revision, awaited whom) const = 0;

    /// Returns which known gateways may still route by a route older than `revision`, so that nothing may be unloaded
    /// that only such a route leads to. As a sentence without its full stop; empty if none may.
    virtual std::string routing_before(std::uint64_t revision) const = 0;

    /// Counts the requests in flight on a model's revision, over all of its parts and all gateways; no value if a
    /// gateway did not answer.
    virtual operation_ptr in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                                    std::function<void(std::optional<std::uint64_t>)> done) = 0;

    /// Returns why a gateway cannot send requests to that upstream, as a sentence without its full stop: its
    /// configuration has no such upstream block. Empty if no connected gateway objects.
    virtual std::string objection_to(const std::string & /*upstream*/) const { return {}; }

    /// Returns which of these servers no server of the upstream block of a connected gateway is: requests never reach
    /// them. Empty if there is no such one, or if the gateways do not say.
    virtual std::vector<std::string> servers_missing_in(const std::string & /*upstream*/,
                                                        const std::vector<std::string> & /*peers*/) const
    {
        return {};
    }

    /// The failed requests of a revision by server, as far as the gateways have reported them since the revision has had
    /// a route; for backends with several servers.
    using server_failures = std::map<std::string, std::uint64_t>;
    virtual server_failures failures_of(const std::string & /*model_id*/, std::uint64_t /*revision*/) const
    {
        return {};
    }

    struct gateway_traffic {
        std::vector<traffic_counters> revisions; ///< of each revision asked for, in the same order, over all parts
        std::optional<std::uint64_t>
            last_minute; ///< the model's requests of the last minute, over all slots and parts
    };

    /// The results of the requests to the parts, by gateway. A gateway that does not answer is left out.
    using measured = std::map<std::string, gateway_traffic>;
    virtual operation_ptr measure(const std::string &model_id, const part_names &parts,
                                  const std::vector<std::uint64_t> &revisions,
                                  std::function<void(const measured &)> done) = 0;
};

} // namespace rollout
