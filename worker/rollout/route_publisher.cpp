#include "worker/rollout/route_publisher.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

route_publisher::route_publisher(gateway_control &gateways, rollout::model &model)
    : gateways_(gateways), model_(model), published_(routes_of(model))
{
}


void route_publisher::publish(std::uint64_t revision)
{
    auto routes = routes_of(model_, published_);
    for (const auto &changed : routes) {
        const auto before = std::ranges::find(published_, changed.part, &route::part);
        if (before == published_.end() ? !changed.removed() : !(*before == changed)) {
            model_.route_revision = revision;
            gateways_.publish(changed, revision);
        }
    }
    std::erase_if(routes, [](const route &published) { return published.removed(); });
    published_ = std::move(routes);
}

} // namespace rollout
