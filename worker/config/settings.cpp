#include "worker/config/settings.hpp"

#include "common/domain/route.hpp"
#include "common/domain/upstream_name.hpp"
#include "worker/base/format.hpp"
#include "worker/config/backend_servers.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/config/name_template.hpp"
#include "worker/net/source_url.hpp"
#include "worker/os/users.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>

#include <sys/un.h>
#include <unistd.h>

namespace rollout {

namespace {

void read_listen(json_reader &root, settings &to, std::vector<json_fault> &faults)
{
    const json_t *value = root.object("listen", true);
    if (value == nullptr) {
        return;
    }
    json_reader listen(value, "/listen", faults);
    listen.text("path", to.listen.path, true);
    if (!to.listen.path.empty() &&
        (to.listen.path.front() != '/' || to.listen.path.size() >= sizeof(sockaddr_un::sun_path))) {
        listen.fault("path", "must be an absolute path of at most " +
                                 std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes");
    }

    std::string mode;
    listen.text("mode", mode);
    if (!mode.empty()) {
        const auto [end, error] = std::from_chars(mode.data(), mode.data() + mode.size(), to.listen.mode, 8);
        if (error != std::errc() || end != mode.data() + mode.size() || to.listen.mode > 0777) {
            listen.fault("mode", "must be a file mode in octal, as \"0660\"");
        }
    }
    listen.texts("allow_users", to.listen.allow_users);
    for (std::size_t i = 0; i < to.listen.allow_users.size(); ++i) {
        if (!find_user(to.listen.allow_users[i])) {
            faults.push_back(
                {"/listen/allow_users/" + std::to_string(i),
                 "there is no user \"" + clean_text(to.listen.allow_users[i], 64) + "\" on this machine"});
        }
    }
    listen.refuse_others();
}


void read_journal(json_reader &root, settings &to, std::vector<json_fault> &faults)
{
    const json_t *value = root.object("journal", true);
    if (value == nullptr) {
        return;
    }
    json_reader journal(value, "/journal", faults);
    std::string type = "sqlite";
    journal.word("type", type, {"sqlite", "etcd"});
    if (type == "etcd") {
        to.journal.max_tasks = max_tasks_in_etcd;
        const json_t *cluster = journal.object("etcd", true);
        to.journal.etcd = cluster != nullptr ? read_cluster_settings(cluster, journal.pointer_to("etcd"), faults)
                                             : cluster_settings();
    } else if (journal.object("etcd") != nullptr) {
        journal.fault("etcd", "is for a journal of the type \"etcd\"");
    }
    journal.text("path", to.journal.path, true);
    if (!to.journal.path.empty() && to.journal.path.front() != '/') {
        journal.fault("path", "must be an absolute path");
    }
    journal.number("retain_days", to.journal.retain_days, 1, 36500);
    journal.number("max_tasks", to.journal.max_tasks, 1, 1000000000);
    journal.refuse_others();
}


void read_limits(json_reader &root, settings &to, std::vector<json_fault> &faults)
{
    const json_t *value = root.object("limits");
    if (value == nullptr) {
        return;
    }
    json_reader limits(value, "/limits", faults);
    limits.number("max_deployed_models", to.limits.max_deployed_models, 0, 1000000);
    limits.number("max_known_models", to.limits.max_known_models, 1, 10000000);
    limits.number("max_concurrent_rollouts", to.limits.max_concurrent_rollouts, 0, 1000);
    limits.number("max_queue", to.limits.max_queue, 0, 10000000);
    limits.number("max_unwritten", to.limits.max_unwritten, 1, 1000000);
    limits.number("gateway_lost_s", to.limits.gateway_lost_s, 5, year_s);
    limits.number("time_limit_s", to.limits.time_limit_s, 1, year_s);
    limits.number("retries", to.limits.retries, 0, 1000);
    limits.refuse_others();
}


void read_ca_file(json_reader &artifacts, const std::string &path)
{
    if (path.front() != '/') {
        artifacts.fault("ca_file", "must be an absolute path");
    } else if (::access(path.c_str(), R_OK) != 0) {
        artifacts.fault("ca_file", "cannot be read: " + format_errno(errno));
    }
}


void read_artifacts(json_reader &root, settings &to, std::vector<json_fault> &faults)
{
    if (const json_t *value = root.object("artifacts")) {
        json_reader artifacts(value, "/artifacts", faults);
        artifacts.text("source", to.artifacts.source);
        artifacts.texts("allow", to.artifacts.allow);
        artifacts.number("max_bytes", to.artifacts.max_bytes, 1, std::uint64_t{1} << 60);
        artifacts.number("max_files", to.artifacts.max_files, 1, 100000000);
        artifacts.flag("require_sha256", to.artifacts.require_sha256);
        artifacts.flag("allow_local", to.artifacts.allow_local);
        artifacts.text("ca_file", to.artifacts.ca_file);
        artifacts.refuse_others();
        if (!to.artifacts.ca_file.empty()) {
            read_ca_file(artifacts, to.artifacts.ca_file);
        }
        if (const auto fault = check_template(to.artifacts.source); !fault.empty()) {
            artifacts.fault("source", fault);
        }
        for (std::size_t i = 0; i < to.artifacts.allow.size(); ++i) {
            if (const auto fault = check_prefix(to.artifacts.allow[i]); !fault.empty()) {
                faults.push_back({"/artifacts/allow/" + std::to_string(i), "is not a prefix of sources: " + fault});
            }
        }
    }
    // A source that the operator has configured is allowed: the folder that its fixed part names.
    if (to.artifacts.allow.empty()) {
        if (auto fault = allow_folder_of(to.artifacts.source, to); !fault.empty()) {
            faults.push_back({"/artifacts/source", std::move(fault)});
        }
    }
}


void read_backend(const std::string &name, const std::string &pointer, const json_t *value, settings &to,
                  std::vector<json_fault> &faults)
{
    json_reader reader(value, pointer, faults);
    backend_settings backend;
    reader.word("type", backend.type, {"triton", "command"});
    const bool is_command = backend.type == "command";
    if (is_command) {
        backend.check_s = command_check_s;
        read_command(reader, backend.command, true);
        reader.number("timeout_s", backend.timeout_s, 1, day_s);
    }
    const json_t *servers = reader.array("servers");
    if (servers != nullptr && json_object_get(value, "url") != nullptr) {
        reader.fault("url", "stands beside \"servers\": give one of the two");
        reader.allow("url");
    } else if (!is_command && servers == nullptr) {
        read_url(reader, backend.url);
    }
    if (!is_command) {
        reader.word("control", backend.control, {"explicit", "poll"});
    }

    // Without a name for an upstream block, nginx uses the address that rolloutd uses.
    reader.text("upstream", backend.upstream, is_command || servers != nullptr);
    if (backend.upstream.empty()) {
        backend.upstream = authority_of(backend.url);
    }
    if (!backend.upstream.empty() && !is_upstream(backend.upstream)) {
        reader.fault("upstream", "must be the name of an upstream block of nginx's, or host:port");
    } else if (is_host_and_port(backend.upstream)) {
        to.warnings.push_back(reader.pointer_to("upstream") + ": " + backend.upstream +
                              " is a host's name, for which nginx needs a resolver: give the name of an upstream "
                              "block of nginx's, as in "
                              "\"upstream inference { server " +
                              backend.upstream + "; }\", or an IP address");
    }
    reader.text("repository", backend.repository, !is_command && servers == nullptr);
    if (!backend.repository.empty() && backend.repository.front() != '/') {
        reader.fault("repository", "must be an absolute path");
    }
    trim_slashes(backend.repository);
    reader.text("staging", backend.staging);
    if (!backend.staging.empty() && backend.staging.front() != '/') {
        reader.fault("staging", "must be an absolute path");
    }
    if (backend.staging.empty() && !backend.repository.empty()) {
        backend.staging = backend.repository + ".staging";
    } else if (backend.staging.empty() && is_command) {
        reader.fault("staging", "is missing: the folder for fetched files, which is needed without a repository");
    }
    read_servers(reader, value, backend, faults);
    reader.text("model_name", backend.model_name);
    if (const auto fault = check_template(backend.model_name); !fault.empty()) {
        reader.fault("model_name", fault);
    } else if (!is_backend_model(sample_of(backend.model_name))) {
        reader.fault("model_name", "must make names without blanks, slashes or a leading dot");
    }
    reader.number("check_s", backend.check_s, 0, day_s);
    reader.number("max_reloads", backend.max_reloads, 1, 1000);
    reader.number("unload_retry_s", backend.unload_retry_s, 0, day_s);
    reader.refuse_others();
    to.backends.emplace(name, std::move(backend));
}


void read_backends(json_reader &root, settings &to, std::vector<json_fault> &faults)
{
    const json_t *value = root.object("backends", true);
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(value), name, member)
    {
        read_backend(name, json_reader(value, "/backends", faults).pointer_to(name), member, to, faults);
    }
    if (value != nullptr && to.backends.empty()) {
        root.fault("backends", "must name at least one backend");
    }
}


/// Checks that no backend runs a command if there is a general smoke test: a smoke test is an inference, which a program
/// cannot do, and a task cannot turn off the general one.
void check_smoke(const settings &of, std::vector<json_fault> &faults)
{
    const auto command = std::ranges::find_if(of.backends, runs_command);
    if (of.rollout.smoke_request && command != of.backends.end()) {
        faults.push_back({"/rollout/smoke", "is an inference, which backend " + command->first +
                                                " cannot be asked for: it runs a command, and would refuse every "
                                                "deployment; give the smoke test to the entries of models that are "
                                                "elsewhere"});
    }
}

} // namespace


bool runs_command(const std::pair<const std::string, backend_settings> &backend)
{
    return backend.second.type == "command";
}


std::string backend_names(const settings &from)
{
    std::string all;
    for (const auto &[name, _] : from.backends) {
        all += (all.empty() ? "" : ", ") + name;
    }
    return all;
}


std::string folder_of_source(const std::string &source)
{
    const auto fixed = source.substr(0, source.find('{'));
    return fixed.substr(0, fixed.rfind('/') + 1);
}


std::string allow_folder_of(const std::string &source, settings &to)
{
    to.artifacts.allow.push_back(folder_of_source(source));
    const auto fault = check_prefix(to.artifacts.allow.back());
    return fault.empty() ? ""
                         : "names no folder in its fixed part that could be allowed (" + fault +
                               "): write the prefixes into artifacts.allow";
}


settings read_settings(const std::string &path, std::vector<json_fault> &faults)
{
    settings to;
    std::ifstream file(path, std::ios::binary);
    std::string bytes;
    std::array<char, 4096> part;
    while (file.read(part.data(), part.size()) || file.gcount() != 0) {
        bytes.append(part.data(), static_cast<std::size_t>(file.gcount()));
    }
    if (!file.is_open() || file.bad()) {
        faults.push_back({"", "the file " + shown(path) + " cannot be read: " + format_errno(errno)});
        return to;
    }
    json_error_t error;
    const auto root = share(json_read(bytes, JSON_REJECT_DUPLICATES, error));
    if (!root) {
        faults.push_back({"", "the file " + shown(path) + " is not JSON: " + clean_text(error.text, 200) + " (line " +
                                  std::to_string(error.line) + ", column " + std::to_string(error.column) + ")"});
        return to;
    }

    json_reader reader(root.get(), "", faults);
    if (!json_is_object(root.get())) {
        return to;
    }
    to.document = root;
    read_listen(reader, to, faults);
    read_journal(reader, to, faults);
    read_limits(reader, to, faults);
    read_artifacts(reader, to, faults);
    read_backends(reader, to, faults);
    if (const json_t *rollout = reader.object("rollout")) {
        read_rollout(rollout, "/rollout", to.rollout, faults, to.warnings);
        std::vector<json_fault> times; // a client may end a hold sooner
        check_times(to.rollout, rollout, "/rollout", to.limits.time_limit_s, times);
        for (const auto &fault : times) {
            to.warnings.push_back(fault.pointer + " " + fault.detail);
        }
    }
    if (const json_t *models = reader.object("models")) {
        const json_t *allow = json_object_get(json_object_get(root.get(), "artifacts"), "allow");
        read_models(models, json_array_size(allow) == 0, to, faults);
    }
    check_smoke(to, faults);
    reader.refuse_others();
    return to;
}

} // namespace rollout
