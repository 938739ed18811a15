#include "worker/config/model_overrides.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "worker/config/name_template.hpp"

#include <algorithm>

#include <fnmatch.h>

namespace rollout {

namespace {

bool is_pattern(std::string_view name) noexcept
{
    return name.find_first_of("*?") != std::string_view::npos;
}


std::size_t literal_characters(std::string_view pattern) noexcept
{
    return static_cast<std::size_t>(
        std::count_if(pattern.begin(), pattern.end(), [](char c) { return c != '*' && c != '?'; }));
}


/// Accepts a model's id, or a pattern for ids with `*` and `?`. fnmatch's brackets and backslashes are not supported.
bool is_model_name_or_pattern(std::string_view name)
{
    if (!is_pattern(name)) {
        return is_model_id(name);
    }
    constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-*?";
    return name.size() <= limits::model_id_bytes && name.find_first_not_of(allowed) == std::string_view::npos;
}


void read_model(const std::string &name, const std::string &pointer, const json_t *value, bool allows_sources,
                settings &to, std::vector<json_fault> &faults)
{
    if (!is_model_name_or_pattern(name)) {
        faults.push_back({pointer, "must be a model's id, or a pattern of ids with * and ?"});
    }
    json_reader reader(value, pointer, faults);
    model_overrides model;
    reader.text("backend", model.backend);
    if (!model.backend.empty() && !to.backends.contains(model.backend)) {
        reader.fault("backend", "must be the name of a backend: " + backend_names(to));
    }
    reader.text("source", model.source);
    if (const auto fault = check_template(model.source); !fault.empty()) {
        reader.fault("source", fault);
    } else if (allows_sources && !model.source.empty()) {
        if (auto no_prefix = allow_folder_of(model.source, to); !no_prefix.empty()) {
            reader.fault("source", std::move(no_prefix));
        }
    }
    reader.flag("protect", model.protect);
    model.rollout = to.rollout;
    if (const json_t *rollout = reader.object("rollout")) {
        read_rollout(rollout, reader.pointer_to("rollout"), model.rollout, faults, to.warnings);
        const auto named = to.backends.find(model.backend);
        if (json_object_get(rollout, "smoke") != nullptr && !to.backends.empty() &&
            (named != to.backends.end() ? runs_command(*named) : std::ranges::all_of(to.backends, runs_command))) {
            faults.push_back({reader.pointer_to("rollout") + "/smoke",
                              "is an inference, which the models' backend cannot be asked for: it runs a command; "
                              "leave the smoke test out"});
        }
    }
    reader.refuse_others();
    to.models.emplace(name, std::move(model));
}

} // namespace


const std::pair<const std::string, model_overrides> *find_model_settings(const settings &from,
                                                                         const std::string &model_id)
{
    if (const auto exact = from.models.find(model_id); exact != from.models.end()) {
        return &*exact;
    }
    const std::pair<const std::string, model_overrides> *best = nullptr;
    for (const auto &entry : from.models) {
        if (is_pattern(entry.first) && fnmatch(entry.first.c_str(), model_id.c_str(), 0) == 0 &&
            (best == nullptr || literal_characters(entry.first) > literal_characters(best->first))) {
            best = &entry;
        }
    }
    return best;
}


const rollout_settings &rollout_of(const settings &from, const std::string &model_id)
{
    const auto *entry = find_model_settings(from, model_id);
    return entry == nullptr ? from.rollout : entry->second.rollout;
}


void read_models(const json_t *models, bool allows_sources, settings &to, std::vector<json_fault> &faults)
{
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(models), name, member)
    {
        read_model(name, json_reader(models, "/models", faults).pointer_to(name), member, allows_sources, to, faults);
    }
}

} // namespace rollout
