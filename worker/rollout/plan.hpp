// What a deployment's `config` and the configuration ask for: checked when the deployment is submitted, and read
// again when it runs.
#pragma once

#include "worker/config/settings.hpp"
#include "worker/domain/model.hpp"

#include <string>
#include <vector>

namespace rollout {

/// A model on the server, and its source.
struct planned_copy {
    served_model placed;
    std::string source;
    std::string sha256;
};

struct deployment_plan {
    std::vector<planned_copy> copies; ///< one, unless the model has several parts
    std::string backend;              ///< its name in rolloutd.json
    bool versioned = true;            ///< each revision has its own name: blue and green can be loaded together
    rollout_settings rollout;
    std::vector<std::string> warnings; ///< members that are accepted but have no effect in this version
};

/// What a plan is made for. A new request is checked more strictly than a task that was accepted earlier and
/// continues: its source must be allowed (fetch checks that again), and no member's name may be a near miss of a
/// known one, which would otherwise be ignored.
enum class plan_for { request, accepted };

/// Makes the plan. Faults point into the request (`/config/backend`). `revision` is the deployment's own; any number
/// will do for a check.
deployment_plan plan_deployment(const settings &from, const std::string &model_id, std::uint64_t revision,
                                const json_t *config, std::vector<json_fault> &faults,
                                plan_for purpose = plan_for::request);

} // namespace rollout
