// What a deployment's `config` asks for, together with the configuration: checked when it is submitted, and read again
// when it runs.
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
    std::vector<planned_copy> copies; ///< one, but for a model of several parts
    std::string backend;              ///< its name in rolloutd.json
    bool versioned = true;            ///< a name of its own for each revision: blue and green can stand side by side
    rollout_settings rollout;
    std::vector<std::string> warnings; ///< what is accepted but has no effect in this version
};

/// What a plan is made for. What is posted is held to more than what was accepted once and goes on: that its source is allowed
/// (fetch looks again), and that no member's name is a near miss of a known one, which would then not count.
enum class plan_for { request, accepted };

/// Makes the plan. Faults point into the request (`/config/backend`). `revision` is the deployment's own; any number will do to check.
deployment_plan plan_deployment(const settings &from, const std::string &model_id, std::uint64_t revision,
                                const json_t *config, std::vector<json_fault> &faults,
                                plan_for purpose = plan_for::request);

} // namespace rollout
