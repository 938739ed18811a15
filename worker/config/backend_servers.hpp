// The members of a backend in rolloutd.json that are about its servers.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Reads the required member `url`, and takes the slashes at its end off.
void read_url(json_reader &reader, std::string &to);

/// Takes the slashes at a path's end off.
void trim_slashes(std::string &path);

/// Host and port of a URL, as it has them.
std::string authority_of(const std::string &url);

/// Reads `servers`, `min_servers` and `max_parallel_loads` of `from`, the backend that `reader` reads, whose other members are in
/// `to` already.
void read_servers(json_reader &reader, const json_t *from, backend_settings &to, std::vector<json_fault> &faults);

struct repository_settings {
    std::string pointer; ///< to the object that names it, below the backend: empty, or `/servers/1`
    std::string repository;
    std::string staging;
};

/// Lists the repositories of a backend, each once; also one that is empty, of a command that has none.
std::vector<repository_settings> repositories_of(const backend_settings &of);

} // namespace rollout
