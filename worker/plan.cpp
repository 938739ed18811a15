#include "worker/plan.hpp"

#include "common/limits.hpp"
#include "worker/model_settings.hpp"
#include "worker/name_template.hpp"
#include "worker/words.hpp"

#include <algorithm>

namespace rollout {

namespace {

constexpr char default_backend[] = "default";


/// The task's choice, else its model's, else `default`, else the only one.
std::string backend_of(const settings &from, const model_settings *model, const json_t *config,
                       std::vector<json_fault> &faults)
{
    const json_t *given = json_object_get(config, "backend");
    if (given == nullptr && model != nullptr && !model->backend.empty()) {
        return model->backend;
    }
    if (given == nullptr && from.backends.size() == 1) {
        return from.backends.begin()->first;
    }
    const std::string name = given == nullptr ? default_backend : std::string(json_text(given));
    if (!from.backends.contains(name)) {
        faults.push_back(
            {"/config/backend", "must be the name of a backend of rolloutd's configuration: " + backend_names(from)});
        return {};
    }
    return name;
}


void read_sha256(const json_t *config, std::string &to, std::vector<json_fault> &faults)
{
    const json_t *given = json_object_get(config, "sha256");
    if (given == nullptr) {
        return;
    }
    to = json_text(given);
    const bool hex = to.size() == 64 && std::all_of(to.begin(), to.end(), [](char c) {
                         return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
                     });
    if (!hex) {
        faults.push_back({"/config/sha256", "must be a string of 64 hexadecimal digits"});
    }
}

} // namespace


deployment_plan plan_deployment(const settings &from, const std::string &model_id, std::uint64_t revision,
                                const json_t *config, std::vector<json_fault> &faults)
{
    deployment_plan plan;
    const template_values values = {model_id, revision, config};
    const auto *entry = find_model_settings(from, model_id);
    const model_settings *model = entry == nullptr ? nullptr : &entry->second;

    if (const json_t *given = json_object_get(config, "source")) {
        plan.source = json_text(given);
        if (plan.source.empty()) {
            faults.push_back({"/config/source", "must be a string that is not empty"});
        }
    } else {
        plan.source = fill_template(model == nullptr || model->source.empty() ? from.artifacts.source : model->source,
                                    values, faults);
    }
    read_sha256(config, plan.sha256, faults);

    plan.backend = backend_of(from, model, config, faults);
    if (!plan.backend.empty()) {
        const auto &name = from.backends.at(plan.backend).model_name;
        plan.versioned = has_placeholder(name, "revision");
        plan.model = fill_template(name, values, faults);
        if (plan.model.size() > limits::backend_model_bytes) {
            faults.push_back({"/model_id", "makes a model name of " + std::to_string(plan.model.size()) +
                                               " bytes on the server, the bound is " +
                                               std::to_string(limits::backend_model_bytes)});
        }
    }

    if (const json_t *given = json_object_get(config, "triton")) {
        if (json_is_object(given)) {
            plan.server_config = share(json_share(const_cast<json_t *>(given)));
        } else {
            faults.push_back({"/config/triton", "must be an object"});
        }
    }
    if (json_object_get(config, "parts") != nullptr) {
        faults.push_back({"/config/parts", "models of several parts are not supported by this version"});
    }

    plan.rollout = rollout_of(from, model_id);
    if (const json_t *given = json_object_get(config, "rollout")) {
        read_rollout(given, "/config/rollout", plan.rollout, faults, plan.warnings);
    }
    return plan;
}

} // namespace rollout
