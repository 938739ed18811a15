// The journal's file: used by one rolloutd only, and checked before anything in it is changed.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/journal/sqlite/database.hpp"
#include "worker/journal/sqlite/migrations.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace rollout {

enum class file_kind {
    journal, ///< the truth
    replica, ///< a copy of what is in etcd
};

/// Returns the number in the file's header that says what it is. A different one means another program's file.
constexpr std::int64_t application_id_of(file_kind kind) noexcept
{
    return kind == file_kind::journal ? 0x526f6c6c : 0x526f6c52; // "Roll", and of a replica "RolR"
}

/// The file is a replica, of which nothing is lost with it.
struct damaged_replica : permanent_start_error {
    using permanent_start_error::permanent_start_error;
};

/// Takes the lock that a rolloutd has for as long as it uses the file; none if another one has it. Throws
/// std::runtime_error with a sentence if the lock's own file cannot be used.
unique_fd lock_journal(const std::string &path);

/// Returns what SQLite's own check of the whole file finds, as a sentence; empty if it finds nothing. Throws sqlite_error.
std::string damage_of(sqlite_database &database, const std::string &path);

/// The open file. No other rolloutd can open it for as long as this exists.
struct journal_file {
    /// Creates the file if there is none. Throws std::runtime_error with a sentence if it cannot be used, as when
    /// another rolloutd has it; throws a permanent_start_error if it is damaged, not a journal, or of a newer
    /// version. A file that is refused stays as it is; one of an older version is upgraded to the newest by `steps`,
    /// see `migrate`. A large file is not read whole here, as a start must not take longer the more tasks there are:
    /// see `check_integrity`. `at_work` is called repeatedly while this takes time, as the steps do for a large file; if
    /// it returns false, the work is broken off, and the file is as the last complete step has left it. A file of one kind
    /// is refused where the other is wanted.
    explicit journal_file(const std::string &path, std::span<const migration> steps = journal_migrations(),
                          std::function<bool()> at_work = {}, file_kind kind = file_kind::journal);

    /// Reads the whole file, which takes seconds for a million tasks: to be called on a thread, while the file is in
    /// use. If the file is damaged, the outcome says so in a sentence, and the next start reads the whole file before
    /// it uses it. Throws sqlite_error.
    static outcome check_integrity(const std::string &path, const stop_flag &stop);

    /// The file was found to be damaged while it was in use: the next start reads the whole file before it uses it.
    static void mark_damaged(const std::string &path);

    unique_fd lock;
    sqlite_database writer;
    bool is_whole = false; ///< the whole file was read
    std::string id;
    std::uint64_t revision = 0; ///< the last one when the file was opened
};

} // namespace rollout
