// The members of a backend in rolloutd.json that describe its servers.
#pragma once

#include "worker/config/settings.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace rollout {

/// Reads the required member `url` and removes the slashes at its end.
void read_url(json_reader &reader, std::string &to);

/// Removes the slashes at the end of a path.
void trim_slashes(std::string &path);

/// Returns the JSON pointer of a server's `peer` in rolloutd.json.
std::string pointer_to_peer(const std::string &backend, std::size_t server);

/// Returns the host and port of a URL, as written there.
std::string authority_of(const std::string &url);

/// Reads `servers`, `min_servers` and `max_parallel_loads` of the backend `from`, which `reader` reads. The other members
/// must already be in `to`.
void read_servers(json_reader &reader, const json_t *from, backend_settings &to, std::vector<json_fault> &faults);

struct repository_settings {
    std::string pointer; ///< of the object that names the repository, relative to the backend: empty, or `/servers/1`
    std::string repository;
    std::string staging;
};

/// Lists the repositories of a backend, each once, including the empty one of a command without a repository.
std::vector<repository_settings> repositories_of(const backend_settings &of);

} // namespace rollout
