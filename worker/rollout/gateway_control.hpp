// What the engine needs of the gateways: that they follow a route, and what they have in flight.
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

/// The parts of a model, sorted; one without a name where the model has no parts.
using part_names = std::vector<std::string>;

class gateway_control {
  public:
    virtual ~gateway_control() = default;

    /// A route that is durable since `revision` goes to every gateway.
    virtual void publish(const route &to_follow, std::uint64_t revision) = 0;

    /// The servers that have a revision of a model, by its name there, are these from now on: in the routes as they were last published.
    /// Nothing is to be durable for that, nor confirmed.
    virtual void publish_peers(const std::string & /*model_id*/, std::uint64_t /*revision*/,
                               const std::string & /*server_model*/,
                               const std::optional<std::vector<std::string>> & /*peers*/)
    {
    }

    /// Which known gateways have no link and may route still, as a sentence without its full stop; empty if all have one.
    virtual std::string missing() const { return {}; }

    /// Ok once every known gateway follows the routes up to `revision`, and there is one at all. A gateway without a link is
    /// waited for as long as its processes live, and limits.gateway_lost_s at most: it may be routing still.
    virtual operation_ptr when_followed(std::uint64_t revision, done_fn done) = 0;

    /// How far the gateways are with the routes up to `revision`: for a sentence.
    struct followers {
        std::size_t known = 0;  ///< connected, or vanished and waited for
        std::size_t behind = 0; ///< of these
    };
    virtual followers followers_of(std::uint64_t revision) const = 0;

    /// Requests in flight on a model's revision, over all of the parts and all gateways; nothing where one gateway did not
    /// say.
    virtual operation_ptr in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                                    std::function<void(std::optional<std::uint64_t>)> done) = 0;

    /// Why a gateway cannot send requests to that upstream, as a sentence without its full stop: its configuration has no such
    /// upstream block. Empty when none of those that are linked objects.
    virtual std::string objection_to(const std::string & /*upstream*/) const { return {}; }

    struct gateway_traffic {
        std::vector<traffic_counters> revisions; ///< of each revision asked for, in their order, over all parts
        std::optional<std::uint64_t>
            last_minute; ///< the model's requests of the last minute, over all slots and parts
    };

    /// What the requests to the parts came to, by gateway. A gateway that does not say is left out.
    using measured = std::map<std::string, gateway_traffic>;
    virtual operation_ptr measure(const std::string &model_id, const part_names &parts,
                                  const std::vector<std::uint64_t> &revisions,
                                  std::function<void(const measured &)> done) = 0;
};

} // namespace rollout
