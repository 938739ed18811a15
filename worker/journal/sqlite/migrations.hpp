// How a journal of an older version becomes one of the newest.
#pragma once

#include "worker/journal/sqlite/database.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace rollout {

/// The schema's version that journal_file.cpp makes.
inline constexpr std::int64_t first_journal_version = 1;

/// One version to the next: what SQLite is to run, in one transaction with the version's number. It must keep every task and model.
struct migration {
    const char *sql;
};

/// The steps from version 1 on, in their order. A step that was released is never changed.
std::span<const migration> journal_migrations() noexcept;

inline std::int64_t newest_version(std::span<const migration> steps) noexcept
{
    return first_journal_version + static_cast<std::int64_t>(steps.size());
}

/// Brings the journal to the newest version, step by step; each is there whole or not at all, and a start that was cut short goes
/// on with the next. Before the first step, and with `keeps_copy`, the journal as it was is copied to `PATH.vVERSION`, for who
/// wants to go back; that takes as long as its bytes do. Does nothing if the journal is of the newest version. Throws sqlite_error
/// with a sentence.
void migrate(sqlite_database &database, const std::string &path, std::span<const migration> steps, bool keeps_copy);

} // namespace rollout
