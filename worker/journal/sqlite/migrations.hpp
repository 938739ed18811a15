// Upgrades a journal of an older version to the newest.
#pragma once

#include "worker/journal/sqlite/database.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace rollout {

/// The schema's version that journal_file.cpp creates.
inline constexpr std::int64_t first_journal_version = 1;

/// The step from one version to the next: what SQLite runs, in one transaction with the version's number. It must
/// keep every task and model.
struct migration {
    const char *sql;
};

/// Returns the steps from version 1 on, in order. A released step is never changed.
std::span<const migration> journal_migrations() noexcept;

inline std::int64_t newest_version(std::span<const migration> steps) noexcept
{
    return first_journal_version + static_cast<std::int64_t>(steps.size());
}

/// Upgrades the journal to the newest version, step by step; each step is applied completely or not at all, and a
/// start that was interrupted continues with the next one. Before the first step, with `keeps_copy`, the journal is
/// copied to `PATH.vVERSION`, for a possible downgrade; the larger the file, the longer that takes. Does nothing if
/// the journal has the newest version. Throws sqlite_error with a sentence.
void migrate(sqlite_database &database, const std::string &path, std::span<const migration> steps, bool keeps_copy);

} // namespace rollout
