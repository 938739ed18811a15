// The journal's file: one rolloutd's alone, and understood before anything in it is changed.
#pragma once

#include "worker/fd.hpp"
#include "worker/journal/sqlite.hpp"

#include <cstdint>
#include <string>

namespace rollout {

/// The file, open. No other rolloutd can open it for as long as this lives.
struct sqlite_file {
    /// Makes the file where there is none. Throws std::runtime_error with a sentence where it cannot be used: another
    /// rolloutd has it, it is damaged, no journal, or of another version. A file that is refused stays as it is.
    explicit sqlite_file(const std::string &path);

    unique_fd lock;
    sqlite_database writer;
    std::string id;
    std::uint64_t revision = 0; ///< the last when it was opened
};

} // namespace rollout
