#include "worker/rollout/admission.hpp"

#include "worker/base/format.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/rollout/run_context.hpp"

#include <algorithm>

namespace rollout {

std::string refusal_of(const run_context &run)
{
    if (run.task.kind == task_kind::remove) {
        const auto *entry = find_model_settings(run.environment.config, run.task.model_id);
        if (entry != nullptr && entry->second.protect) {
            return "Model " + run.task.model_id + " is protected: `protect` of \"" + entry->first +
                   "\" in `models` of rolloutd's configuration is true; set it to false to delete the model.";
        }
        return is_placed(run.model) ? ""
                                    : "Model " + run.task.model_id + " is not deployed; there is nothing to delete.";
    }
    if (run.task.rollback_to != 0) {
        const bool is_kept = std::ranges::any_of(run.model.kept, [&run](const served_revision &placed) {
            return placed.revision == run.task.rollback_to;
        });
        return is_kept ? ""
                       : "Revision " + std::to_string(run.task.rollback_to) + " of model " + run.task.model_id +
                             " is no longer kept, so there is nothing to go back to.";
    }
    if (run.model.blue && !run.plan.versioned) {
        return "Model " + run.task.model_id +
               " is deployed already, and the backend's model_name has no {revision}, so that "
               "two revisions cannot be loaded side by side; delete the model first.";
    }
    for (const auto &copy : run.plan.copies) {
        if (const auto other = run.environment.holder_of(run.task.model_id, run.plan.backend, copy.placed.model);
            !other.empty()) {
            return "Model " + other + " has the name " + copy.placed.model + " on backend " + run.plan.backend +
                   ", which model_name makes for this one too; delete it first, or let model_name tell them apart.";
        }
    }
    // Known before anything is fetched; a gateway that connects later is checked at the end of `ready`.
    if (auto objection =
            run.environment.gateways.objection_to(run.environment.config.backends.at(run.plan.backend).upstream);
        !objection.empty()) {
        return objection + ".";
    }
    const auto most = run.environment.config.limits.max_deployed_models;
    const auto deployed = run.environment.deployed_models();
    if (!run.model.blue && deployed >= most) {
        return "There are " + format_count(deployed, "model", "models") + " deployed and max_deployed_models is " +
               std::to_string(most) + "; delete one first.";
    }
    const auto most_known = run.environment.config.limits.max_known_models;
    const auto known = run.environment.known_models();
    if (run.model.last_revision == 0 && known >= most_known) {
        return "There are " + format_count(known, "model", "models") +
               " with a revision number to remember, also of those that are deleted or never came to be, and "
               "max_known_models is " +
               std::to_string(most_known) + "; take a name that was there before, or raise it.";
    }
    return {};
}

} // namespace rollout
