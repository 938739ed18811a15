// Downloads one file from a web server: only from allowed sources, checked at every redirect and every address, bounded,
// resumed if a connection breaks, and verified by its checksum.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/artifact/fetch_progress.hpp"
#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace rollout {

struct download_request {
    std::string source;             ///< an http:// or https:// URL
    std::string sha256;             ///< 64 hexadecimal digits, or empty: then an earlier attempt is not resumed
    std::vector<std::string> allow; ///< as for fetch_request
    bool allow_local = false;       ///< loopback and link-local addresses are allowed as well
    std::string ca_file;            ///< trusted certificates, PEM; empty: the system's
    std::filesystem::path file;     ///< in a folder of rolloutd's own, on the model's file system
    std::uint64_t max_bytes = 0;
};

/// Runs on the caller's thread. On success `into` is the complete file, open for reading. After a transient failure or a
/// cancel the partial file stays if there is a checksum to verify it by, and the next attempt resumes it. `progress` may
/// be null.
outcome download(const download_request &request, fetch_progress *progress, const stop_flag &stop, unique_fd &into);

} // namespace rollout
