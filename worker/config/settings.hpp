// rolloutd.json, read and checked: what the operator has decided.
#pragma once

#include "worker/base/json_reader.hpp"
#include "worker/config/rollout_settings.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

/// One server of a backend.
struct server_settings {
    std::string url;
    std::string peer;       ///< its address as a `server` of nginx's upstream block has it: host:port, or unix:PATH
    std::string repository; ///< of all, or its own; empty: none (a command)
    std::string staging;    ///< on the repository's file system
};

/// `min_servers`: how many of a backend's servers must have a revision before it gets traffic.
struct required_servers {
    enum class unit : std::uint8_t { all, servers, percent };

    unit is = unit::all;
    std::uint64_t value = 0;

    /// Of so many; a percentage is rounded up, and at least one is required.
    std::size_t of(std::size_t servers) const noexcept;
};

struct backend_settings {
    std::string type = "triton";
    std::string control = "explicit";     ///< of a triton: or `poll`
    std::string url;                      ///< empty if it has `servers`
    std::vector<server_settings> servers; ///< empty if it has a `url`, or is a command without servers
    required_servers min_servers;
    std::uint64_t max_parallel_loads = 4; ///< servers that load a revision at a time
    std::vector<std::string> command;     ///< of a command: the program and its arguments
    std::uint64_t timeout_s = 600;        ///< of a command: for one run of it
    std::string upstream;
    std::string repository;
    std::string staging;
    std::string model_name = "{model_id}__r{revision}";
    std::uint64_t check_s = 10;        ///< between two looks whether its models are still loaded; 0: none
    std::uint64_t max_reloads = 4;     ///< lost models that are loaded again side by side
    std::uint64_t unload_retry_s = 60; ///< before what no task could unload or remove is tried again; 0: it is not
};

/// Of a command: each look runs the program once a model.
inline constexpr std::uint64_t command_check_s = 60;

/// What differs for the models of one name or pattern.
struct model_overrides {
    std::string backend;      ///< empty: as for all
    std::string source;       ///< empty: as for all
    bool protect = false;     ///< a deletion is refused
    rollout_settings rollout; ///< whole: the entry's members over those of `rollout`
};

struct settings {
    struct {
        std::string path;
        unsigned mode = 0660;
        std::vector<std::string> allow_users; ///< empty: whoever the socket's mode lets in
    } listen;

    struct {
        std::string path;
        std::uint64_t retain_days = 30;
        std::uint64_t max_tasks = 10000000; ///< the oldest final ones that are more go before their time
    } journal;

    struct {
        std::uint64_t max_deployed_models = 100;
        std::uint64_t max_known_models = 100000;   ///< that have had a revision, of which the last number is kept
        std::uint64_t max_concurrent_rollouts = 4; ///< 0: tasks are accepted and held
        std::uint64_t max_queue = 100000;
        std::uint64_t max_unwritten = 4096; ///< new tasks that wait for the journal's disk
        std::uint64_t gateway_lost_s = 600; ///< what a gateway without a link may route to stays loaded for so long
        std::uint64_t time_limit_s = 18000;
        std::uint64_t retries = 3;
    } limits;

    struct {
        std::string source = "file:///srv/models/{model_id}"; ///< of a task that names none itself
        std::vector<std::string> allow;
        std::uint64_t max_bytes = 53687091200;
        std::uint64_t max_files = 10000;
        bool require_sha256 = true; ///< of a source on a web server
        bool allow_local = false;   ///< web servers at loopback and link-local addresses are as good as others
        std::string ca_file;        ///< trusted certificates for web servers, PEM; empty: the system's
    } artifacts;

    std::map<std::string, backend_settings> backends;
    rollout_settings rollout;
    std::map<std::string, model_overrides> models; ///< by a model's id or a pattern of ids

    std::shared_ptr<const json_t> document; ///< the file as it was read; null where there is none

    std::vector<std::string> warnings; ///< what is accepted but has no effect in this version
};

/// Reads and checks the file. Every fault is in `faults`, with its pointer; the result counts only when there is none.
settings read_settings(const std::string &path, std::vector<json_fault> &faults);

/// The servers by their peers, in the order of the configuration; empty for a backend of one `url`.
std::vector<std::string> server_peers(const backend_settings &of);

/// Such a backend cannot be asked for an inference.
bool runs_command(const std::pair<const std::string, backend_settings> &backend);

/// The names of the backends, for a sentence.
std::string backend_names(const settings &from);

/// The folder that the fixed part of a source's template names, with its last slash.
std::string folder_of_source(const std::string &source);

/// Allows the sources in that folder. A sentence's end where it is no prefix that a source could be under; empty where it is.
std::string allow_folder_of(const std::string &source, settings &to);

} // namespace rollout
