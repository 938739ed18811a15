#include "worker/journal/sqlite/journal_file.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/format.hpp"
#include "worker/journal/sqlite/wal_vfs.hpp"

#include <cerrno>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace rollout {

namespace {

/// Version 1. It never changes: later changes are steps of `journal_migrations`, which are applied to a new file as
/// well.
constexpr char schema[] = R"(
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE tasks (
        sequence INTEGER PRIMARY KEY,
        task_id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        model_id TEXT NOT NULL,
        status TEXT NOT NULL,
        revision INTEGER NOT NULL,
        updated_us INTEGER NOT NULL,
        document TEXT NOT NULL
    );
    CREATE INDEX tasks_revision ON tasks (revision);
    CREATE INDEX tasks_model ON tasks (model_id, kind, sequence);
    CREATE INDEX tasks_open ON tasks (sequence) WHERE status IN ('pending', 'in_progress');
    CREATE INDEX tasks_age ON tasks (updated_us) WHERE status NOT IN ('pending', 'in_progress');
    CREATE TABLE models (model_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE gateways (gateway TEXT PRIMARY KEY) WITHOUT ROWID;
)";


/// Up to how many bytes a start reads the whole file: some fifty thousand tasks, in a tenth of a second.
constexpr std::int64_t read_whole_bytes = 32 << 20;


/// Returns the path of the mark next to a file that was found to be damaged while it was in use.
std::string mark_of(const std::string &path)
{
    return path + ".damaged";
}


/// Takes the lock, and creates the file if there is none.
unique_fd claim(const std::string &path)
{
    unique_fd lock = lock_journal(path);
    if (!lock) {
        throw std::runtime_error("another rolloutd uses the journal " + shown(path) +
                                 "; give each a journal and a socket of its own");
    }
    // SQLite gives its other files the same mode as this one.
    const unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) {
        throw std::runtime_error("the journal " + shown(path) + " cannot be written: " + format_errno(errno));
    }
    return lock;
}


enum class content { none, whole, unread };


/// Returns what SQLite's own check of the whole file finds, in its words; empty if it finds nothing.
std::string found_in(sqlite_database &database)
{
    sqlite_statement check(database, "PRAGMA quick_check(1)");
    const std::string found = check.step() ? check.text(0) : "nothing can be read";
    check.reset();
    return found == "ok" ? "" : clean_text(found, 300);
}


void refuse_damaged_replica(sqlite_database &database, const std::string &path)
{
    std::string found;
    try {
        found = found_in(database);
    } catch (const sqlite_error &error) {
        if (!error.is_permanent()) {
            throw;
        }
        found = error.what();
    }
    if (!found.empty()) {
        throw damaged_replica("the replica " + shown(path) + " is damaged: " + found);
    }
}


/// Determines what is in the file; throws if it must not be used.
content check(sqlite_database &database, const std::string &path, std::int64_t newest_version, file_kind kind)
{
    // If the file is refused, its WAL is not checkpointed either: a file that is not understood stays as it is, byte
    // for byte.
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    // Nothing is written before the file is known to be ours: setting the mode alone would change another program's
    // file.
    const bool empty = database.number("SELECT count(*) FROM sqlite_master") == 0;
    const auto version = database.number("PRAGMA user_version");
    const auto application_id = empty ? application_id_of(kind) : database.number("PRAGMA application_id");
    if (kind == file_kind::replica && application_id == application_id_of(file_kind::journal)) {
        throw permanent_start_error("the file " + shown(path) +
                                    " is a journal, not a replica of one in etcd; it is left unchanged. Name another "
                                    "journal.path; to move the journal into etcd, give it to rolloutd --import");
    }
    if (kind == file_kind::journal && application_id == application_id_of(file_kind::replica)) {
        throw permanent_start_error("the file " + shown(path) +
                                    " is a replica of a journal in etcd, not a journal; it is left unchanged. Name "
                                    "another journal.path, or set journal.type to \"etcd\" to use what is in etcd");
    }
    if (application_id != application_id_of(kind)) {
        throw permanent_start_error("the file " + shown(path) +
                                    " is not a journal of rolloutd; it is left unchanged");
    }
    if (!empty && (version < first_journal_version || version > newest_version)) {
        throw permanent_start_error("the journal " + shown(path) + " is of version " + std::to_string(version) +
                                    ", this rolloutd knows " +
                                    (newest_version == first_journal_version ? "version " : "the versions up to ") +
                                    std::to_string(newest_version) + "; it is left unchanged");
    }
    const auto bytes = database.number("PRAGMA page_count") * database.number("PRAGMA page_size");
    const std::string mark = mark_of(path);
    const bool reads_whole = bytes <= read_whole_bytes || ::access(mark.c_str(), F_OK) == 0;
    if (reads_whole && kind == file_kind::replica) {
        refuse_damaged_replica(database, path);
        ::unlink(mark.c_str());
    } else if (reads_whole) {
        if (const auto fault = damage_of(database, path); !fault.empty()) {
            throw permanent_start_error(fault);
        }
        ::unlink(mark.c_str()); // the file was replaced or repaired
    }
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
    return empty ? content::none : reads_whole ? content::whole : content::unread;
}


void make_tables(sqlite_database &database, file_kind kind)
{
    database.run("BEGIN");
    database.run(schema);
    database.run(("PRAGMA application_id = " + std::to_string(application_id_of(kind))).c_str());
    database.run(("PRAGMA user_version = " + std::to_string(first_journal_version)).c_str());
    sqlite_statement(database, "INSERT INTO meta VALUES ('id', ?), ('revision', 0)")
        .with(std::string_view(new_instance_id()))
        .run();
    database.run("COMMIT");
}

} // namespace


/// The file has its own lock, since SQLite would let a second rolloutd in.
unique_fd lock_journal(const std::string &path)
{
    const std::string lock_path = path + ".lock";
    unique_fd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) {
        throw std::runtime_error("the journal cannot be used: " + shown(lock_path) + ": " + format_errno(errno) +
                                 ". Its folder must exist, and rolloutd must be able to write to it");
    }
    return flock(lock.get(), LOCK_EX | LOCK_NB) == 0 ? std::move(lock) : unique_fd();
}


std::string damage_of(sqlite_database &database, const std::string &path)
{
    const std::string found = found_in(database);
    if (found.empty()) {
        return "";
    }
    return "the journal " + shown(path) + " is damaged: " + found +
           "; it is left unchanged. Restore it from a backup, or move it away: rolloutd then starts with an empty "
           "one, without its tasks and models";
}


journal_file::journal_file(const std::string &path, std::span<const migration> steps, std::function<bool()> at_work,
                           file_kind kind)
    : lock(claim(path)), writer(path, SQLITE_OPEN_READWRITE, kind == file_kind::journal ? wal_vfs() : nullptr)
{
    writer.while_at_work(std::move(at_work));
    const auto found = check(writer, path, newest_version(steps), kind);
    is_whole = found != content::unread;
    writer.run("PRAGMA synchronous = FULL"); // wal_vfs relies on it; replicas, which have less, are without it
    writer.run("PRAGMA journal_mode = WAL");
    if (found == content::none) {
        make_tables(writer, kind);
    }
    migrate(writer, path, steps, found != content::none);

    sqlite_statement meta(writer, "SELECT value FROM meta WHERE name = ?");
    if (meta.with(std::string_view("id")).step()) {
        id = meta.text(0);
    }
    if (meta.with(std::string_view("revision")).step()) {
        revision = static_cast<std::uint64_t>(meta.number(0));
    }
    writer.while_at_work({});
    // A batch is small: its pages stay in memory until its commit, and a batch that is rolled back has written nothing.
    writer.run("PRAGMA cache_spill = OFF");
}


outcome journal_file::check_integrity(const std::string &path, const stop_flag &stop)
{
    constexpr int instructions_between_looks = 10000;
    sqlite_database reader(path, SQLITE_OPEN_READONLY);
    sqlite3_progress_handler(
        reader.get(), instructions_between_looks,
        [](void *flag) noexcept { return static_cast<const stop_flag *>(flag)->load() ? 1 : 0; },
        const_cast<stop_flag *>(&stop));
    std::string fault;
    try {
        fault = damage_of(reader, path);
    } catch (const sqlite_error &error) {
        if (stop) {
            return outcome::canceled();
        }
        fault = error.what();
    }
    if (fault.empty()) {
        return outcome::ok();
    }
    mark_damaged(path);
    return outcome::permanent(fault);
}


void journal_file::mark_damaged(const std::string &path)
{
    const unique_fd mark(::open(mark_of(path).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

} // namespace rollout
