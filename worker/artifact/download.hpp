// Brings one file from a web server to the disk: from allowed places alone, at every redirect and at every address, bounded,
// resumed where a connection breaks, and proven by its checksum.
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
    std::string sha256;             ///< 64 hexadecimal digits, or empty: then what was there before is not built upon
    std::vector<std::string> allow; ///< as for fetch_request
    bool allow_local = false;       ///< addresses of loopback and link-local are as good as others
    std::string ca_file;            ///< certificates that are trusted, PEM; empty: the system's
    std::filesystem::path file;     ///< in a folder of rolloutd's own, on the file system where the model goes
    std::uint64_t max_bytes = 0;
};

/// On the caller's thread. `into` is the whole file then, open for reading. After a transient failure or a cancel the file
/// stays as far as it is, if there is a checksum to judge it by: the next attempt goes on there. `progress` is optional.
outcome download(const download_request &request, fetch_progress *progress, const stop_flag &stop, unique_fd &into);

} // namespace rollout
