#include "worker/backend/triton/repository_index.hpp"

#include "common/base/json.hpp"
#include "common/base/text.hpp"
#include "worker/backend/triton/error_text.hpp"

#include <algorithm>

namespace rollout {
namespace {

/// The most characters of a version's name that are kept.
constexpr std::size_t version_characters = 64;


index_entry read_version(const json_t *entry)
{
    const std::string_view state = json_text(entry, "state");
    if (state == "READY") {
        return {index_state::ready, {}, clean_text(json_text(entry, "version"), version_characters)};
    }
    if (state == "LOADING") {
        return {index_state::loading, {}};
    }
    if (state == "UNLOADING") {
        return {index_state::unloading, {}};
    }
    std::string reason = reason_text(json_text(entry, "reason"));
    if (state == "UNAVAILABLE" && !reason.empty() && reason != "unloaded") {
        return {index_state::failed, std::move(reason)};
    }
    return {index_state::unloaded, {}};
}


/// Returns the precedence of a state among a model's versions: a version in transition outranks one at rest.
int weight(index_state state) noexcept
{
    switch (state) {
    case index_state::absent:
        return 0;
    case index_state::unloaded:
        return 1;
    case index_state::failed:
        return 2;
    case index_state::ready:
        return 3;
    case index_state::unloading:
        return 4;
    case index_state::loading:
        return 5;
    }
    return 0;
}

} // namespace


std::string_view index_state_name(index_state state) noexcept
{
    switch (state) {
    case index_state::absent:
        return "absent";
    case index_state::unloaded:
    case index_state::failed:
        return "UNAVAILABLE";
    case index_state::loading:
        return "LOADING";
    case index_state::unloading:
        return "UNLOADING";
    case index_state::ready:
        return "READY";
    }
    return "";
}


std::optional<repository_index> read_index(std::string_view body)
{
    json_error_t error;
    const json_ptr parsed = json_read(body, 0, error);
    // Some servers put the array into an object, as the protocol's gRPC form does.
    const json_t *models = json_is_object(parsed.get()) ? json_object_get(parsed.get(), "models") : parsed.get();
    if (!json_is_array(models)) {
        return std::nullopt;
    }
    repository_index all;
    for (std::size_t i = 0; i < json_array_size(models); ++i) {
        const json_t *entry = json_array_get(models, i);
        index_entry &found = all[std::string(json_text(entry, "name"))];
        index_entry version = read_version(entry);
        if (!found.versions.empty() && !version.versions.empty()) {
            version.versions = found.versions + ", " + version.versions;
        } else if (version.versions.empty()) {
            version.versions = found.versions;
        }
        if (weight(version.is) > weight(found.is)) {
            found = std::move(version);
        } else {
            found.versions = std::move(version.versions);
        }
    }
    return all;
}


std::optional<index_entry> find_in_index(std::string_view body, std::string_view model)
{
    const auto all = read_index(body);
    if (!all) {
        return std::nullopt;
    }
    const auto found = all->find(model);
    return found == all->end() ? index_entry() : found->second;
}

} // namespace rollout
