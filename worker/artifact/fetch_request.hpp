// What to fetch, and how much at most. Used by the engine, which requests a fetch but knows no loop.
#pragma once

#include "common/base/json.hpp"
#include "worker/artifact/fetch_progress.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

struct fetch_request {
    std::string source;                ///< `file:///…`, a folder or a file, or `http(s)://…`, a file
    std::string sha256;                ///< 64 hexadecimal digits, for a source that is one file; or empty
    std::filesystem::path destination; ///< becomes the model's folder; its previous contents are removed first
    std::vector<std::string> allow;    ///< prefixes, `file:///srv/models/`; a source under none of them is refused
    std::uint64_t max_bytes = 0;       ///< of all files together, and of the download
    std::uint64_t max_files = 0;       ///< files and folders together
    bool allow_local = false;          ///< a download may come from a loopback or link-local address
    std::string ca_file;               ///< trusted certificates for a download, PEM; empty: the system's
    std::shared_ptr<const json_t>
        server_config; ///< the model configuration for the load call (model_folder.hpp); or null
    std::shared_ptr<fetch_progress> progress; ///< of a download; null: not wanted
};

} // namespace rollout
