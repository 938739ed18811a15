// Copies the bytes of one open file into another: as a reflink or in the kernel where that can be done, and with its holes.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"

#include <string>

#include <sys/stat.h>

namespace rollout {

class sha256;

struct copy_ends {
    int from = -1;
    int to = -1;
    std::string from_shown; ///< for sentences
    std::string to_shown;
};

/// `to` is empty; where the two stand afterwards is not said. `status` is that of `from` when it was opened: a file that changes
/// while it is copied is a transient failure. Looks at `stop` for each MiB. `digest` may be null.
outcome copy_file(const copy_ends &ends, const struct stat &status, const stop_flag &stop, sha256 *digest);

/// Reads an open file from where it stands to its end into the digest. Looks at `stop` for each MiB.
outcome digest_file(int fd, const std::string &shown, const stop_flag &stop, sha256 &digest);

/// Is it, by size and times of change (the one that a program can set, and the one that it cannot), the file that `status` was
/// taken of?
bool is_unchanged(int fd, const struct stat &status) noexcept;

} // namespace rollout
