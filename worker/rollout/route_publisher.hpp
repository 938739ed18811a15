// Tells the gateways of a model's routes that have changed.
#pragma once

#include "common/domain/route.hpp"
#include "worker/domain/model.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <vector>

namespace rollout {

class route_publisher {
  public:
    /// The gateways know the model's routes as they are now.
    route_publisher(gateway_control &gateways, rollout::model &model);

    /// Publishes each route that is another than before, now that the model is durable as it is since `revision`. A part
    /// that is not served any more has a route without a target.
    void publish(std::uint64_t revision);

  private:
    gateway_control &gateways_;
    rollout::model &model_;
    std::vector<route> published_;
};

} // namespace rollout
