#include "worker/rollout/plan.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"
#include "worker/base/near_miss.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/config/name_template.hpp"
#include "worker/fs/sha256.hpp"
#include "worker/model_files/config_check.hpp"
#include "worker/net/source_url.hpp"
#include "worker/rollout/gate_plan.hpp"

#include <algorithm>
#include <iterator>

namespace rollout {

namespace {

constexpr char default_backend[] = "default";

constexpr std::string_view members_of_part[] = {"source", "sha256", "triton"};
constexpr std::string_view members_of_config[] = {"source", "sha256", "backend",  "rollout",
                                                  "triton", "parts",  "supersede"};


/// Refuses members of `config` that look like a misspelled known member; every other one is the task's own parameter.
/// `templates`: the operator's, which may use a parameter of such a name.
void refuse_near_misses(const json_t *config, const std::string &templates, std::vector<json_fault> &faults)
{
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(config), name, member)
    {
        const auto meant = near_miss(name, members_of_config);
        if (!meant.empty() && templates.find("{config." + std::string(name) + "}") == std::string::npos) {
            faults.push_back({json_reader(config, "/config", faults).pointer_to(name),
                              "is not a known member: did you mean `" + std::string(meant) +
                                  "`? A parameter of your own needs a name that is less similar"});
        }
    }
}


/// Refuses unknown members in one of `parts`, which has no parameters of its own.
void refuse_others(const json_t *part, const std::string &pointer, std::vector<json_fault> &faults)
{
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(part), name, member)
    {
        if (std::ranges::find(members_of_part, std::string_view(name)) == std::ranges::end(members_of_part)) {
            const auto meant = near_miss(name, members_of_part);
            faults.push_back(
                {json_reader(part, pointer, faults).pointer_to(name),
                 "is not a known member" + (meant.empty() ? "" : ": did you mean `" + std::string(meant) + "`?")});
        }
    }
}


/// Returns the task's choice, else its model's, else `default`, else the only backend.
std::string backend_of(const settings &from, const model_overrides *model, const json_t *config,
                       std::vector<json_fault> &faults)
{
    const json_t *given = json_object_get(config, "backend");
    if (given == nullptr && model != nullptr && !model->backend.empty()) {
        return model->backend;
    }
    if (given == nullptr && from.backends.size() == 1) {
        return from.backends.begin()->first;
    }
    std::string name = given == nullptr ? default_backend : std::string(json_text(given));
    if (!from.backends.contains(name)) {
        faults.push_back(
            {"/config/backend", "must be the name of a backend of rolloutd's configuration: " + backend_names(from)});
        return {};
    }
    return name;
}


/// What the plan of every copy is made from.
struct plan_base {
    const std::string &source; ///< the template for a copy that names no source
    const template_values values;
    const backend_settings *server; ///< null if the task's backend does not exist
    const std::string &backend;
    bool requires_sha256;                  ///< for a source on a web server
    const std::vector<std::string> *allow; ///< the allowed sources; null: the source is not checked
    std::vector<json_fault> &faults;
};


/// Plans a copy from `source`, `sha256` and `triton` of the request's `config`, or of one of its parts.
planned_copy plan_copy(const plan_base &base, const json_t *given, const std::string &pointer, std::string_view part)
{
    planned_copy planned;
    template_values values = base.values;
    values.part = part;

    const json_t *source = json_object_get(given, "source");
    if (source == nullptr) {
        planned.source = fill_template(base.source, values, base.faults);
    } else {
        planned.source = json_text(source);
        if (planned.source.empty()) {
            base.faults.push_back({pointer + "/source", "must be a string that is not empty"});
        }
    }
    if (base.allow != nullptr && !planned.source.empty()) {
        if (auto refused = check_source(planned.source, *base.allow); !refused.empty()) {
            base.faults.push_back({pointer + "/source", "cannot be fetched: " + refused});
        }
    }
    if (const json_t *digest = json_object_get(given, "sha256")) {
        planned.sha256 = json_text(digest);
        if (!is_sha256(planned.sha256)) {
            base.faults.push_back({pointer + "/sha256", "must be a string of 64 hexadecimal digits"});
        }
    }
    if (planned.sha256.empty() && base.requires_sha256 && is_web_source(planned.source)) {
        base.faults.push_back({pointer + "/sha256", "is missing: a source on a web server is fetched only with the "
                                                    "checksum of what it must be (artifacts.require_sha256 of "
                                                    "rolloutd's configuration)"});
    }
    if (json_t *config = json_object_get(given, "triton")) {
        if (base.server != nullptr && base.server->control == "poll") {
            base.faults.push_back({pointer + "/triton", "goes with a load call, and backend " + base.backend +
                                                            " polls its repository: write it into the model's "
                                                            "config.pbtxt"});
        } else if (json_is_object(config)) {
            check_server_config(config, pointer + "/triton", base.faults);
            planned.placed.server_config = share(json_share(config));
        } else {
            base.faults.push_back({pointer + "/triton", "must be an object"});
        }
    }

    if (base.server != nullptr) {
        planned.placed.model = fill_template(base.server->model_name, values, base.faults);
        if (planned.placed.model.size() > limits::backend_model_bytes) {
            base.faults.push_back({"/model_id", "makes a model name of " +
                                                    std::to_string(planned.placed.model.size()) +
                                                    " bytes on the server, and the limit is " +
                                                    std::to_string(limits::backend_model_bytes)});
        }
    }
    planned.placed.parts = {std::string(part)};
    return planned;
}


bool is_same_model(const planned_copy &one, const planned_copy &other)
{
    return one.source == other.source && one.sha256 == other.sha256 &&
           json_same(one.placed.server_config.get(), other.placed.server_config.get());
}


/// Plans the copies of `parts`; parts with the same source share one, under the name of the first.
void plan_parts(const plan_base &base, const json_t *parts, std::vector<planned_copy> &to)
{
    if (!json_is_object(parts) || json_object_size(parts) == 0 || json_object_size(parts) > limits::parts) {
        base.faults.push_back({"/config/parts", "must be an object of 1 to " + std::to_string(limits::parts) +
                                                    " members: the parts by their names"});
        return;
    }
    const char *name;
    json_t *given;
    json_object_foreach(const_cast<json_t *>(parts), name, given)
    {
        const std::string pointer = json_reader(parts, "/config/parts", base.faults).pointer_to(name);
        if (!json_is_object(given)) {
            base.faults.push_back({pointer, "must be an object"});
        }
        refuse_others(given, pointer, base.faults);
        if (!is_model_id(name)) {
            base.faults.push_back({"/config/parts",
                                   "must have names of A-Z a-z 0-9 . _ - that begin with a letter or "
                                   "a digit"});
            continue;
        }
        auto planned = plan_copy(base, given, pointer, name);
        const auto same =
            std::ranges::find_if(to, [&](const auto &candidate) { return is_same_model(candidate, planned); });
        if (same != to.end()) {
            same->placed.parts.emplace_back(name);
            continue;
        }
        if (std::ranges::any_of(
                to, [&](const auto &candidate) { return candidate.placed.model == planned.placed.model; })) {
            base.faults.push_back({"/config/parts", "are several models, and the backend's model_name gives them one "
                                                    "name: let it hold {part}"});
        }
        to.push_back(std::move(planned));
    }
}

} // namespace


deployment_plan plan_deployment(const settings &from, const std::string &model_id, std::uint64_t revision,
                                const json_t *config, std::vector<json_fault> &faults, plan_for purpose)
{
    const bool is_request = purpose == plan_for::request;
    deployment_plan plan;
    const auto *entry = find_model_settings(from, model_id);
    const model_overrides *model = entry == nullptr ? nullptr : &entry->second;
    plan.backend = backend_of(from, model, config, faults);
    const backend_settings *server = plan.backend.empty() ? nullptr : &from.backends.at(plan.backend);
    plan.versioned = server == nullptr || has_placeholder(server->model_name, "revision");

    const plan_base base = {model == nullptr || model->source.empty() ? from.artifacts.source : model->source,
                            {model_id, revision, config},
                            server,
                            plan.backend,
                            from.artifacts.require_sha256,
                            is_request && !from.artifacts.allow.empty() ? &from.artifacts.allow : nullptr,
                            faults};
    if (is_request) {
        refuse_near_misses(config, base.source + (server == nullptr ? std::string() : server->model_name), faults);
    }
    if (const json_t *parts = json_object_get(config, "parts")) {
        for (const char *member : {"source", "sha256", "triton"}) {
            if (json_object_get(config, member) != nullptr) {
                faults.push_back({std::string("/config/") + member, "belongs into each of /config/parts"});
            }
        }
        plan_parts(base, parts, plan.copies);
    } else {
        plan.copies.push_back(plan_copy(base, config, "/config", {}));
    }

    plan.rollout = rollout_of(from, model_id);
    if (const json_t *given = json_object_get(config, "rollout")) {
        if (json_object_get(given, "hooks") != nullptr) {
            faults.push_back({"/config/rollout/hooks", "is the operator's to set, in rolloutd's configuration"});
        }
        read_rollout(given, "/config/rollout", plan.rollout, faults, plan.warnings);
        check_times(plan.rollout, given, "/config/rollout", from.limits.time_limit_s, faults);
    }
    std::ranges::move(gate_warnings(plan.rollout), std::back_inserter(plan.warnings));
    if (server != nullptr && server->type == "command" && plan.rollout.smoke_request) {
        faults.push_back({"/config/rollout/smoke", "is an inference, which backend " + plan.backend +
                                                       " cannot be asked for: it runs a command; leave the smoke "
                                                       "test out, of rolloutd's configuration too"});
    }
    return plan;
}

} // namespace rollout
