// Sends the gateways the routes of a model that have changed.
#pragma once

#include "common/domain/route.hpp"
#include "worker/domain/model.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <vector>

namespace rollout {

class route_publisher {
  public:
    /// Assumes that the gateways already have the model's current routes.
    route_publisher(gateway_control &gateways, rollout::model &model);

    /// Publishes each route that has changed, now that the model's current state has been durable since `revision`. A
    /// part that is no longer served gets a route without a target.
    void publish(std::uint64_t revision);

  private:
    gateway_control &gateways_;
    rollout::model &model_;
    std::vector<route> published_;
};

} // namespace rollout
