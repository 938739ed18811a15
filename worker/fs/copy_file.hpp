// Copies the bytes of one open file into another, as a reflink or in the kernel if possible, and with its holes.
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
    std::string from_shown; ///< for messages
    std::string to_shown;
};

/// `to` must be empty, and readable if there is a digest; the offsets of both are undefined afterwards. `status` is that of
/// `from` when it was opened: a file that changes while it is copied is a transient failure. Checks `stop` once per 16 MiB.
/// `digest` may be null; it is fed with the copy's bytes, on a thread of its own, which has ended on return.
outcome copy_file(const copy_ends &ends, const struct stat &status, const stop_flag &stop, sha256 *digest);

/// Reads an open file from its current offset to its end into the digest. Checks `stop` once per 256 KiB.
outcome digest_file(int fd, const std::string &shown, const stop_flag &stop, sha256 &digest);

/// Returns whether the file still has the size and the times of `status`, both the modification time, which a program can
/// set, and the change time, which it cannot.
bool is_unchanged(int fd, const struct stat &status) noexcept;

} // namespace rollout
