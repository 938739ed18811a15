#include "worker/settings_warnings.hpp"

#include "worker/base/format.hpp"
#include "worker/config/backend_servers.hpp"
#include "worker/config/name_template.hpp"
#include "worker/net/source_url.hpp"
#include "worker/rollout/gate_plan.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <unistd.h>

namespace rollout {

namespace {

constexpr std::string_view file_scheme = "file://";


/// Returns why rolloutd cannot use a path that way, for a sentence's end; empty if it can.
std::string obstacle(const std::filesystem::path &path, int mode)
{
    return ::access(path.c_str(), mode) == 0 ? "" : format_errno(errno);
}


void check_folder(const std::string &pointer, const std::filesystem::path &folder, std::vector<std::string> &to)
{
    std::error_code error;
    if (const auto why = obstacle(folder, R_OK | W_OK | X_OK); !why.empty()) {
        to.push_back(pointer + ": the folder " + shown(folder.native()) + " cannot be written to: " + why);
    } else if (!std::filesystem::is_directory(folder, error)) {
        to.push_back(pointer + ": " + shown(folder.native()) + " is not a folder");
    }
}


void check_backend(const std::string &name, const backend_settings &of, std::vector<std::string> &to)
{
    const std::string pointer = "/backends/" + name;
    for (const auto &[below, repository, staging_path] : repositories_of(of)) {
        if (!repository.empty()) {
            check_folder(pointer + below + "/repository", repository, to);
        }
        std::error_code error;
        const std::filesystem::path staging(staging_path); // created if it does not exist
        check_folder(pointer + below + "/staging",
                     std::filesystem::exists(staging, error) ? staging : staging.parent_path(), to);
    }
    if (!of.command.empty()) {
        if (const auto why = obstacle(of.command.front(), X_OK); !why.empty()) {
            to.push_back(pointer + "/command: " + shown(of.command.front()) + " cannot be run: " + why);
        }
    }
}


void compare_backends(const std::pair<const std::string, backend_settings> &here,
                      const std::pair<const std::string, backend_settings> &there, std::vector<std::string> &to)
{
    for (const auto &[below, repository, _] : repositories_of(here.second)) {
        const auto theirs = repositories_of(there.second);
        if (!repository.empty() &&
            std::ranges::find(theirs, repository, &repository_settings::repository) != theirs.end()) {
            to.push_back("/backends/" + here.first + below + "/repository: is that of backend " + there.first +
                         " too: each would load and remove the other's models");
        }
    }
}


void check_source(const std::string &pointer, const std::string &source, const settings &from,
                  std::vector<std::string> &to)
{
    const std::string folder = folder_of_source(source);
    const auto allows = [&](const std::string &prefix) {
        return source.starts_with(prefix) || prefix.starts_with(folder);
    };
    if (std::ranges::none_of(from.artifacts.allow, allows)) {
        to.push_back(pointer + ": " + shown(source) +
                     " is under none of artifacts.allow, so that a deployment which names no "
                     "source of its own is refused");
    }
    if (folder.starts_with(file_scheme)) {
        if (const auto why = obstacle(folder.substr(file_scheme.size()), R_OK | X_OK); !why.empty()) {
            to.push_back(pointer + ": the folder " + shown(folder.substr(file_scheme.size())) +
                         " cannot be read: " + why);
        }
    }
}

/// The models' own rollouts report only what differs from the common one.
void check_gates(const settings &from, std::vector<std::string> &to)
{
    const auto of_all = gate_warnings(from.rollout);
    for (const auto &warning : of_all) {
        to.push_back("/rollout: " + warning);
    }
    for (const auto &[name, model] : from.models) {
        const std::string pointer = "/models/" + name + "/rollout: ";
        for (const auto &warning : gate_warnings(model.rollout)) {
            if (std::ranges::find(of_all, warning) == of_all.end()) {
                to.push_back(pointer + warning);
            }
        }
    }
}

} // namespace


std::vector<std::string> warnings_about(const settings &from)
{
    std::vector<std::string> all;
    check_folder("/listen/path", std::filesystem::path(from.listen.path).parent_path(), all);
    check_folder("/journal/path", std::filesystem::path(from.journal.path).parent_path(), all);
    check_source("/artifacts/source", from.artifacts.source, from, all);
    for (const auto &[name, model] : from.models) {
        if (!model.source.empty()) {
            check_source("/models/" + name + "/source", model.source, from, all);
        }
    }
    for (auto backend = from.backends.begin(); backend != from.backends.end(); ++backend) {
        check_backend(backend->first, backend->second, all);
        for (auto other = from.backends.begin(); other != backend; ++other) {
            compare_backends(*backend, *other, all);
        }
    }
    check_gates(from, all);
    return all;
}

} // namespace rollout
