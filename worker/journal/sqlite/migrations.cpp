#include "worker/journal/sqlite/migrations.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace rollout {

namespace {

[[noreturn]] void refuse(const std::string &path, const std::string &doing, const std::string &why,
                         int of_sqlite = SQLITE_ERROR)
{
    throw sqlite_error("the journal " + shown(path) + " cannot be " + doing + ": " + why +
                           "; it keeps its version. Fix this and start rolloutd again",
                       of_sqlite);
}


/// Copies the file together with its WAL into one file, which is durable before it gets its name.
void copy(sqlite_database &database, const std::string &path, const std::string &to)
{
    const std::string beside = to + ".new";
    ::unlink(beside.c_str());
    const unique_fd file(::open(beside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) {
        refuse(path, "copied to " + shown(to), format_errno(errno));
    }
    try {
        sqlite_statement(database, "VACUUM INTO ?").with(std::string_view(beside)).run();
    } catch (const sqlite_error &error) {
        ::unlink(beside.c_str());
        refuse(path, "copied to " + shown(to), error.what(), error.code);
    }
    if (::fsync(file.get()) != 0 || std::rename(beside.c_str(), to.c_str()) != 0) {
        const int error = errno;
        ::unlink(beside.c_str());
        refuse(path, "copied to " + shown(to), format_errno(error));
    }
}

} // namespace


std::span<const migration> journal_migrations() noexcept
{
    static constexpr migration steps[] = {
        // Every commit of new tasks hit the index of models in as many places as it had tasks. Unfinished tasks are
        // in memory (open_tasks), and finished ones are added to their index one at a time.
        {R"(
            DROP INDEX tasks_model;
            DROP INDEX tasks_open;
            DROP INDEX IF EXISTS tasks_kind;
            CREATE INDEX IF NOT EXISTS tasks_status ON tasks (kind, status, sequence);
            CREATE INDEX tasks_ended ON tasks (model_id, kind, sequence) WHERE status NOT IN ('pending', 'in_progress');
        )"},
        // A new task is in one index less: while it is as it was accepted, its sequence is its revision (reads.cpp).
        {R"(
            DROP INDEX tasks_revision;
            CREATE INDEX tasks_changed ON tasks (revision) WHERE status <> 'pending' OR revision > sequence;
        )"},
        // A gateway without a link is waited for as long as its processes live.
        {"ALTER TABLE gateways ADD COLUMN processes TEXT NOT NULL DEFAULT ''"},
        // What the gate has seen of a deployment: its document, packed (packed_text.hpp). `sequence` is the task's.
        {R"(
            CREATE TABLE series (sequence INTEGER PRIMARY KEY, model_id TEXT NOT NULL, content BLOB NOT NULL);
            CREATE INDEX series_model ON series (model_id, sequence);
        )"},
    };
    return steps;
}


void migrate(sqlite_database &database, const std::string &path, std::span<const migration> steps, bool keeps_copy)
{
    const auto from = database.number("PRAGMA user_version");
    const auto newest = newest_version(steps);
    if (from >= newest) {
        return;
    }
    if (keeps_copy) {
        const std::string kept = path + ".v" + std::to_string(from);
        copy(database, path, kept);
        log(log_level::info, "The journal as it was before is kept in " + shown(kept),
            {{"from", std::to_string(from)}, {"to", std::to_string(newest)}});
    }
    for (auto version = from; version < newest; ++version) {
        const std::string next = std::to_string(version + 1);
        try {
            database.run("BEGIN IMMEDIATE");
            database.run(steps[static_cast<std::size_t>(version - first_journal_version)].sql);
            database.run(("PRAGMA user_version = " + next).c_str());
            database.run("COMMIT");
        } catch (const sqlite_error &error) {
            database.roll_back();
            refuse(path, "brought to version " + next, error.what(), error.code);
        }
    }
    if (keeps_copy) {
        log(log_level::info, "The journal " + shown(path) + " is of version " + std::to_string(newest) + " now");
    }
}

} // namespace rollout
