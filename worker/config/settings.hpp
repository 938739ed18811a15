// rolloutd.json, read and checked: the operator's settings.
#pragma once

#include "worker/base/json_reader.hpp"
#include "worker/config/cluster_settings.hpp"
#include "worker/config/rollout_settings.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// One server of a backend.
struct server_settings {
    std::string url;
    std::string peer;       ///< its address as a `server` of nginx's upstream block gives it: host:port, or unix:PATH
    std::string repository; ///< the backend's, or its own; empty: none (a command)
    std::string staging;    ///< on the repository's file system
};

/// `min_servers`: how many of a backend's servers must have a revision before the revision gets traffic.
struct required_servers {
    enum class unit : std::uint8_t { all, servers, percent };

    unit is = unit::all;
    std::uint64_t value = 0;

    /// Returns the number for that many servers; a percentage is rounded up, and the result is at least one.
    std::size_t of(std::size_t servers) const noexcept;
};

struct backend_settings {
    std::string type = "triton";
    std::string control = "explicit";     ///< of a triton backend; or `poll`
    std::string url;                      ///< empty if it has `servers`
    std::vector<server_settings> servers; ///< empty if it has a `url`, or is a command without servers
    required_servers min_servers;
    std::uint64_t max_parallel_loads = 4; ///< servers that load a revision at a time
    std::vector<std::string> command;     ///< of a command backend: the program and its arguments
    std::uint64_t timeout_s = 600;        ///< of a command backend: for one run
    std::string upstream;
    std::string repository;
    std::string staging;
    std::string model_name = "{model_id}__r{revision}";
    std::uint64_t check_s = 10;        ///< between two checks that its models are still loaded; 0: no checks
    std::uint64_t max_reloads = 4;     ///< lost models that are reloaded in parallel
    std::uint64_t unload_retry_s = 60; ///< before retrying what no task could unload or remove; 0: no retry
};

/// `max_tasks` of a journal in etcd, which has them in memory.
inline constexpr std::uint64_t max_tasks_in_etcd = 200000;

/// For a command backend: each check runs the program once per model.
inline constexpr std::uint64_t command_check_s = 60;

/// The settings that differ for the models of one name or pattern.
struct model_overrides {
    std::string backend;      ///< empty: the general one
    std::string source;       ///< empty: the general one
    bool protect = false;     ///< deletions are refused
    rollout_settings rollout; ///< complete: the entry's members over those of `rollout`
};

struct settings {
    struct {
        std::string path;
        unsigned mode = 0660;
        std::vector<std::string> allow_users; ///< empty: everyone that the socket's mode admits
    } listen;

    struct {
        std::string path; ///< with `etcd`, of the replica
        std::uint64_t retain_days = 30;
        std::uint64_t max_tasks = 10000000;   ///< beyond it, the oldest final tasks are removed early
        std::optional<cluster_settings> etcd; ///< of type `etcd`; none: `sqlite`
    } journal;

    struct {
        std::uint64_t max_deployed_models = 100;
        std::uint64_t max_known_models = 100000; ///< that have had a revision, and whose last revision number is kept
        std::uint64_t max_concurrent_rollouts = 4; ///< 0: tasks are accepted and held
        std::uint64_t max_queue = 100000;
        std::uint64_t max_unwritten = 4096; ///< new tasks that wait to be written to the journal
        std::uint64_t gateway_lost_s = 600; ///< how long what an unlinked gateway may route to stays loaded
        std::uint64_t time_limit_s = 18000;
        std::uint64_t retries = 3;
    } limits;

    struct {
        std::string source = "file:///srv/models/{model_id}"; ///< for a task that names no source
        std::vector<std::string> allow;
        std::uint64_t max_bytes = 53687091200;
        std::uint64_t max_files = 10000;
        bool require_sha256 = true; ///< for a source on a web server
        bool allow_local = false;   ///< web servers at loopback and link-local addresses are allowed as well
        std::string ca_file;        ///< trusted certificates for web servers, PEM; empty: the system's
    } artifacts;

    std::map<std::string, backend_settings> backends;
    rollout_settings rollout;
    std::map<std::string, model_overrides> models; ///< by model id, or by a pattern of ids

    std::shared_ptr<const json_t> document; ///< the file as it was read; null if there is none

    std::vector<std::string> warnings; ///< about members that are accepted but have no effect in this version
};

/// Reads and checks the file. `faults` receives every fault, with its pointer; the result is valid only if there are
/// none.
settings read_settings(const std::string &path, std::vector<json_fault> &faults);

/// Lists the servers by their peers, in the order of the configuration; empty for a backend with a single `url`.
std::vector<std::string> server_peers(const backend_settings &of);

/// Returns whether the backend runs a command; then it cannot be asked for an inference.
bool runs_command(const std::pair<const std::string, backend_settings> &backend);

/// Lists the names of the backends, for a message.
std::string backend_names(const settings &from);

/// Returns the folder that the fixed part of a source template names, with a slash at its end.
std::string folder_of_source(const std::string &source);

/// Allows the sources in that folder. Returns the end of a sentence if it is not a prefix that a source could be under;
/// else empty.
std::string allow_folder_of(const std::string &source, settings &to);

} // namespace rollout
