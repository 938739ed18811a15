// The failed requests of each revision under watch by server, as the gateways report them.
#pragma once

#include "common/base/json.hpp"
#include "worker/gateway/published_routes.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace rollout {

class failures_by_server {
  public:
    /// Adds a gateway's report: a `failures` frame. Leaves out what is no revision of a route in force, so that there are
    /// no more entries than routes, and ends those of the model's earlier revisions.
    void add(const json_t *message, const published_routes &routes);

    /// Forgets a model, which has no route any more.
    void forget(const std::string &model_id) { models_.erase(model_id); }

    gateway_control::server_failures of(const std::string &model_id, std::uint64_t revision) const;

  private:
    using revisions = std::map<std::uint64_t, gateway_control::server_failures>;

    std::map<std::string, revisions> models_; ///< by id
};

} // namespace rollout
