// The journal's file: one rolloutd's alone, and understood before anything in it is changed.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/journal/sqlite/database.hpp"
#include "worker/journal/sqlite/migrations.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace rollout {

/// The file, open. No other rolloutd can open it for as long as this lives.
struct journal_file {
    /// Makes the file if there is none. Throws std::runtime_error with a sentence if it cannot be used: another
    /// rolloutd has it; a permanent_start_error if it is damaged, no journal, or of a newer version. A file that is refused stays as it is; one of an older
    /// version is brought to the newest by `steps`, see `migrate`. A large file is not read whole here, as a start must not take
    /// the longer the more tasks there are: see `check_integrity`.
    /// `at_work` is called over and over while that takes its time, as the steps do for a large file.
    explicit journal_file(const std::string &path, std::span<const migration> steps = journal_migrations(),
                          std::function<void()> at_work = {});

    /// Reads the whole file, which takes seconds for a million tasks: for a thread, while the file is in use. Where it is damaged
    /// the sentence is the outcome's, and the next start reads the file whole before it uses it. Throws sqlite_error.
    static outcome check_integrity(const std::string &path, const stop_flag &stop);

    unique_fd lock;
    sqlite_database writer;
    bool is_whole = false; ///< the whole file was read
    std::string id;
    std::uint64_t revision = 0; ///< the last when it was opened
};

} // namespace rollout
