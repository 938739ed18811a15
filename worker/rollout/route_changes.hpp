// Knows since which write the routes of a model are as they are: that is what the gateways must follow. The routes
// themselves reach the gateways with the journal's news.
#pragma once

#include "common/domain/route.hpp"
#include "worker/domain/model.hpp"

#include <cstdint>
#include <vector>

namespace rollout {

/// Compares what was written, as the gateways do, and not what the model has become since.
class route_changes {
  public:
    /// Assumes that the model is as the journal has it. It outlives this.
    explicit route_changes(rollout::model &model);

    /// Notes the routes of the model that is about to be written.
    void note_write();

    /// Updates the model's `route_revision`, now that the model has been durable since `revision` as it was noted last.
    void on_durable(std::uint64_t revision);

  private:
    rollout::model &model_;
    std::vector<route> durable_;
    std::vector<route> written_;
};

} // namespace rollout
