#include "worker/journal/sqlite_journal.hpp"

#include "common/names.hpp"
#include "worker/failpoint.hpp"
#include "worker/journal/sqlite_rows.hpp"
#include "worker/log.hpp"
#include "worker/thread_work.hpp"
#include "worker/words.hpp"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace rollout {

namespace {

/// In the file's header: "Roll". Another number is another program's file.
constexpr std::int64_t application_id = 0x526f6c6c;
constexpr std::int64_t schema_version = 1;

/// A batch is a transaction, and what waits for it waits for all of it.
constexpr std::size_t max_batch = 1000;

/// Rows that a purge removes in one transaction: posts go on beside it.
constexpr std::int64_t purge_rows = 500;

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

/// For the lists. They change nothing of what an older rolloutd knows, and a file of one gets them when it is opened.
constexpr char list_indices[] = R"(
    CREATE INDEX IF NOT EXISTS tasks_kind ON tasks (kind, sequence);
    CREATE INDEX IF NOT EXISTS tasks_status ON tasks (kind, status, sequence);
)";


/// What SQLite's own look at the whole file finds, its first words; empty where it finds nothing.
std::string damage_of(sqlite_database &database)
{
    sqlite_statement check(database, "PRAGMA quick_check(1)");
    const std::string found = check.step() ? check.text(0) : "nothing can be read";
    check.reset();
    return found == "ok" ? "" : clean_text(found, 300);
}


bool same_request(const task &a, const task &b)
{
    return a.kind == b.kind && a.model_id == b.model_id && a.parent_id == b.parent_id &&
           json_equal(a.config.get(), b.config.get()) != 0;
}

} // namespace


/// The writer's, prepared once; only the commit's thread touches them.
struct sqlite_journal::statements {
    sqlite_database &database;
    std::uint64_t &revision;

    sqlite_statement begin{database, "BEGIN IMMEDIATE"};
    sqlite_statement commit{database, "COMMIT"};
    sqlite_statement find{database, select("WHERE task_id = ?")};
    sqlite_statement insert{database,
                            "INSERT INTO tasks (sequence, revision, kind, status, task_id, document, model_id, "
                            "updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"};
    sqlite_statement update{
        database, "UPDATE tasks SET revision = ?, status = ?, document = ?, updated_us = ? WHERE task_id = ?"};
    sqlite_statement put_model{database,
                               "INSERT OR REPLACE INTO models (model_id, revision, state) VALUES (?, ?, ?)"};
    sqlite_statement put_gateway{database, "INSERT OR IGNORE INTO gateways (gateway) VALUES (?)"};
    sqlite_statement drop_gateway{database, "DELETE FROM gateways WHERE gateway = ?"};
    sqlite_statement put_revision{database, "UPDATE meta SET value = ? WHERE name = 'revision'"};
    sqlite_statement purge{database, "DELETE FROM tasks WHERE sequence IN (SELECT t.sequence FROM tasks t "
                                     "WHERE t.status NOT IN ('pending', 'in_progress') AND t.updated_us < ?1 "
                                     "AND EXISTS (SELECT 1 FROM tasks l WHERE l.model_id = t.model_id "
                                     "AND l.kind = t.kind AND l.sequence > t.sequence) "
                                     "ORDER BY t.updated_us LIMIT ?2)"};
};


/// A write that waits for its batch: `apply` runs on the commit's thread, `end` on the loop's.
struct sqlite_journal::write {
    virtual ~write() = default;
    virtual void apply(statements &in) = 0;
    virtual void end(const outcome &ended) = 0;

    /// Of its failpoints.
    virtual const char *name() const noexcept = 0;

    /// What replicas must hear of, once it is committed; null for nothing.
    virtual const task_row *news() const { return nullptr; }
};

struct sqlite_journal::create_write final : write {
    task wanted;
    bool only_look = false;
    created_fn done;

    creation how = creation::created;
    task_row row;

    void apply(statements &in) override
    {
        in.find.with(std::string_view(wanted.task_id));
        if (in.find.step()) {
            row = row_of(in.find);
            in.find.reset();
            const auto there = task_of(row);
            how = there && same_request(*there, wanted) ? creation::existed : creation::conflict;
            return;
        }
        if (only_look) {
            how = creation::absent;
            return;
        }
        how = creation::created;
        row.sequence = row.revision = ++in.revision;
        row.kind = wanted.kind;
        row.status = wanted.status;
        row.task_id = wanted.task_id;
        in.insert
            .with(row.sequence, row.revision, kind_name(row.kind), status_name(row.status),
                  std::string_view(row.task_id), std::string_view(row.document), std::string_view(wanted.model_id),
                  wanted.updated_us)
            .run();
    }

    const char *name() const noexcept override { return only_look ? "look" : "create"; }
    void end(const outcome &ended) override { done(ended, how, row); }
    const task_row *news() const override { return how == creation::created ? &row : nullptr; }
};

struct sqlite_journal::save_write final : write {
    task_row row; ///< without a task_id: the model alone
    std::int64_t updated_us = 0;
    std::string model_id; ///< empty: the task alone
    std::string model_state;
    saved_fn done;
    std::uint64_t revision = 0;

    void apply(statements &in) override
    {
        revision = ++in.revision;
        if (!row.task_id.empty()) {
            row.revision = revision;
            in.update
                .with(revision, status_name(row.status), std::string_view(row.document), updated_us,
                      std::string_view(row.task_id))
                .run();
        }
        if (!model_id.empty()) {
            in.put_model.with(std::string_view(model_id), revision, std::string_view(model_state)).run();
        }
    }

    const char *name() const noexcept override { return row.task_id.empty() ? "save_model" : "save"; }
    void end(const outcome &ended) override { done(ended, revision); }
    const task_row *news() const override { return row.task_id.empty() ? nullptr : &row; }
};

struct sqlite_journal::gateway_write final : write {
    std::string gateway;
    bool known = true;

    void apply(statements &in) override
    {
        (known ? in.put_gateway : in.drop_gateway).with(std::string_view(gateway)).run();
    }

    const char *name() const noexcept override { return known ? "remember_gateway" : "forget_gateway"; }

    void end(const outcome &ended) override
    {
        if (!ended) {
            log(log_level::error, "A gateway could not be noted: " + ended.detail, {{"gateway", gateway}});
        }
    }
};

struct sqlite_journal::purge_write final : write {
    std::int64_t before_us = 0;
    std::function<void(outcome, std::uint64_t)> done;
    std::uint64_t count = 0;

    void apply(statements &in) override
    {
        in.purge.with(before_us, purge_rows).run();
        count = static_cast<std::uint64_t>(sqlite3_changes64(in.database.get()));
    }

    const char *name() const noexcept override { return "purge"; }
    void end(const outcome &ended) override { done(ended, count); }
};


sqlite_journal::sqlite_journal(uv_loop_t *loop, const std::string &path) : loop_(loop)
{
    // The file's own lock, since SQLite would let a second rolloutd in.
    const std::string lock_path = path + ".lock";
    lock_ = unique_fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_) {
        throw std::runtime_error("the journal cannot be used: " + shown(lock_path) + ": " + errno_words(errno) +
                                 ". Its folder must be there and be rolloutd's to write");
    }
    if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        throw std::runtime_error("another rolloutd uses the journal " + shown(path) +
                                 "; give each a journal and a socket of its own");
    }
    // SQLite gives its other files the mode of this one.
    const unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) {
        throw std::runtime_error("the journal " + shown(path) + " cannot be written: " + errno_words(errno));
    }
    open(path);
}


void sqlite_journal::open(const std::string &path)
{
    writer_ = std::make_unique<sqlite_database>(path, SQLITE_OPEN_READWRITE);
    auto &database = *writer_;
    // Neither is its log taken into it when it is refused: a file that is not understood stays as it is, byte for byte.
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    // Nothing is written before it is known to be ours: the mode alone would change another program's file.
    const bool empty = database.number("SELECT count(*) FROM sqlite_master") == 0;
    const auto version = database.number("PRAGMA user_version");
    if (!empty && database.number("PRAGMA application_id") != application_id) {
        throw std::runtime_error("the file " + shown(path) + " is no journal of rolloutd's; it is left as it is");
    }
    if (!empty && version != schema_version) {
        throw std::runtime_error("the journal " + shown(path) + " is of version " + std::to_string(version) +
                                 ", this rolloutd knows version " + std::to_string(schema_version) +
                                 "; it is left as it is");
    }
    if (const auto fault = damage_of(database); !fault.empty()) {
        throw std::runtime_error("the journal " + shown(path) + " is damaged: " + fault +
                                 "; it is left as it is. Put a copy of it in its place, or move it away and rolloutd "
                                 "begins with an empty one, without its tasks and models");
    }
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = FULL");
    database.run("PRAGMA wal_autocheckpoint = 4000");
    if (empty) {
        database.run("BEGIN");
        database.run(schema);
        database.run(("PRAGMA application_id = " + std::to_string(application_id)).c_str());
        database.run(("PRAGMA user_version = " + std::to_string(schema_version)).c_str());
        sqlite_statement(database, "INSERT INTO meta VALUES ('id', ?), ('revision', 0)")
            .with(std::string_view(new_instance_id()))
            .run();
        database.run("COMMIT");
    }
    database.run(list_indices);

    sqlite_statement meta(database, "SELECT value FROM meta WHERE name = ?");
    if (meta.with(std::string_view("id")).step()) {
        id_ = meta.text(0);
    }
    if (meta.with(std::string_view("revision")).step()) {
        revision_ = static_cast<std::uint64_t>(meta.number(0));
    }
    meta.reset();
    batch_revision_ = revision_;
    statements_.reset(new statements{database, batch_revision_});
    reader_ = std::make_unique<sqlite_database>(path, SQLITE_OPEN_READONLY);
}


sqlite_journal::~sqlite_journal() = default;


bool sqlite_journal::busy() const noexcept
{
    return commit_ || reading_ || !waiting_.empty() || !reads_.empty();
}


void sqlite_journal::add(std::unique_ptr<write> one)
{
    waiting_.push_back(std::move(one));
    if (!commit_) {
        start_batch();
    }
}


void sqlite_journal::start_batch()
{
    const auto count = std::min(waiting_.size(), max_batch);
    batch_.assign(std::make_move_iterator(waiting_.begin()),
                  std::make_move_iterator(waiting_.begin() + static_cast<std::ptrdiff_t>(count)));
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    batch_revision_ = revision_;

    commit_ = run_on_thread(
        loop_,
        [this](const stop_flag &) {
            try {
                pass("before");
                statements_->begin.run();
                for (auto &one : batch_) {
                    one->apply(*statements_);
                }
                statements_->put_revision.with(batch_revision_).run();
                pass("applied");
                statements_->commit.run();
                pass("committed");
                return outcome::ok();
            } catch (const sqlite_error &error) {
                if (sqlite3_get_autocommit(writer_->get()) == 0) {
                    sqlite3_exec(writer_->get(), "ROLLBACK", nullptr, nullptr, nullptr);
                }
                return outcome::transient(error.what());
            }
        },
        [this](const outcome &ended) { end_batch(ended); });
}


/// The failpoints of what the batch holds; once it is committed, it cannot fail any more.
void sqlite_journal::pass(const char *when) const
{
    const bool committed = when == std::string_view("committed");
    for (const auto &one : batch_) {
        const std::initializer_list<std::string_view> name = {"journal", one->name(), when};
        if (committed) {
            failpoint(name);
        } else if (failpoint(name, {fault::error}) != fault::none) {
            throw sqlite_error("the journal: a test lets it fail");
        }
    }
}


void sqlite_journal::end_batch(const outcome &ended)
{
    const auto before = revision_;
    if (ended) {
        revision_ = batch_revision_;
    }
    const auto now = revision_; // the next batch counts on from here
    auto batch = std::move(batch_);
    batch_.clear();
    commit_.reset();
    if (!waiting_.empty()) {
        start_batch(); // the disk works while the loop answers
    }

    if (ended && on_commit) {
        std::vector<task_row> rows;
        for (const auto &one : batch) {
            if (const task_row *row = one->news()) {
                rows.push_back(*row);
            }
        }
        on_commit(rows, before, now);
    }
    for (auto &one : batch) {
        one->end(ended);
    }
}


void sqlite_journal::create(const task &wanted, bool only_look, created_fn done)
{
    auto one = std::make_unique<create_write>();
    one->wanted = wanted;
    one->only_look = only_look;
    one->row.document = json_compact(document_of(wanted).get());
    one->done = std::move(done);
    add(std::move(one));
}


void sqlite_journal::save(const task &changed, const model *with, saved_fn done)
{
    auto one = std::make_unique<save_write>();
    one->row.sequence = changed.sequence;
    one->row.kind = changed.kind;
    one->row.status = changed.status;
    one->row.task_id = changed.task_id;
    one->row.document = json_compact(document_of(changed).get());
    one->updated_us = changed.updated_us;
    if (with != nullptr) {
        one->model_id = with->model_id;
        one->model_state = json_compact(model_to_json(*with).get());
    }
    one->done = std::move(done);
    add(std::move(one));
}


void sqlite_journal::save_model(const model &changed, saved_fn done)
{
    auto one = std::make_unique<save_write>();
    one->model_id = changed.model_id;
    one->model_state = json_compact(model_to_json(changed).get());
    one->done = std::move(done);
    add(std::move(one));
}


void sqlite_journal::remember_gateway(const std::string &gateway)
{
    auto one = std::make_unique<gateway_write>();
    one->gateway = gateway;
    add(std::move(one));
}


void sqlite_journal::forget_gateway(const std::string &gateway)
{
    auto one = std::make_unique<gateway_write>();
    one->gateway = gateway;
    one->known = false;
    add(std::move(one));
}


void sqlite_journal::purge(std::int64_t before_us, std::function<void(outcome, std::uint64_t)> done)
{
    auto one = std::make_unique<purge_write>();
    one->before_us = before_us;
    one->done = std::move(done);
    add(std::move(one));
}


// Reading.

void sqlite_journal::read(std::function<void(sqlite_database &)> work, std::function<void(outcome)> done)
{
    reads_.emplace_back(std::move(work), std::move(done));
    if (!reading_) {
        start_read();
    }
}


void sqlite_journal::start_read()
{
    // All that waits goes in one turn: a look-up takes microseconds, a turn of the thread pool more.
    auto jobs = std::make_shared<std::deque<read_job>>(std::move(reads_));
    auto failures = std::make_shared<std::vector<outcome>>(jobs->size());
    reads_.clear();
    reading_ = run_on_thread(
        loop_,
        [this, jobs, failures](const stop_flag &) {
            for (std::size_t i = 0; i < jobs->size(); ++i) {
                try {
                    if (failpoint({"journal", "read"}, {fault::error}) != fault::none) {
                        throw sqlite_error("the journal: a test lets it fail");
                    }
                    (*jobs)[i].first(*reader_);
                } catch (const sqlite_error &error) {
                    (*failures)[i] = outcome::transient(error.what());
                }
            }
            return outcome::ok();
        },
        [this, jobs, failures](const outcome &) {
            reading_.reset();
            if (!reads_.empty()) {
                start_read();
            }
            for (std::size_t i = 0; i < jobs->size(); ++i) {
                (*jobs)[i].second((*failures)[i]);
            }
        });
}


void sqlite_journal::find(const std::string &task_id, found_fn done)
{
    auto row = std::make_shared<std::optional<task_row>>();
    read(
        [row, task_id](sqlite_database &database) {
            sqlite_statement at(database, select("WHERE task_id = ?"));
            if (at.with(std::string_view(task_id)).step()) {
                *row = row_of(at);
            }
        },
        [row, done = std::move(done)](const outcome &ended) { done(ended, std::move(*row)); });
}


void sqlite_journal::find_latest(task_kind kind, const std::string &model_id, found_fn done)
{
    auto row = std::make_shared<std::optional<task_row>>();
    read(
        [row, kind, model_id](sqlite_database &database) {
            sqlite_statement at(database, select("WHERE model_id = ? AND kind = ? ORDER BY sequence DESC LIMIT 1"));
            if (at.with(std::string_view(model_id), kind_name(kind)).step()) {
                *row = row_of(at);
            }
        },
        [row, done = std::move(done)](const outcome &ended) { done(ended, std::move(*row)); });
}


void sqlite_journal::read_after(std::uint64_t revision, std::size_t max_bytes,
                                std::function<void(outcome, std::vector<task_row>)> done)
{
    auto rows = std::make_shared<std::vector<task_row>>();
    read(
        [rows, revision, max_bytes](sqlite_database &database) {
            sqlite_statement at(database, select("WHERE revision > ? ORDER BY revision"));
            at.with(revision);
            for (std::size_t bytes = 0; bytes < max_bytes && at.step();) {
                rows->push_back(row_of(at));
                bytes += rows->back().document.size();
            }
        },
        [rows, done = std::move(done)](const outcome &ended) { done(ended, std::move(*rows)); });
}


std::vector<task_row> sqlite_journal::unfinished()
{
    std::vector<task_row> rows;
    sqlite_statement at(*writer_, select("WHERE status IN ('pending', 'in_progress') ORDER BY sequence"));
    while (at.step()) {
        rows.push_back(row_of(at));
    }
    return rows;
}


std::vector<model> sqlite_journal::models()
{
    std::vector<model> all;
    sqlite_statement at(*writer_, select_models(""));
    while (at.step()) {
        all.push_back(model_at(at));
    }
    return all;
}


std::vector<std::string> sqlite_journal::gateways()
{
    std::vector<std::string> all;
    sqlite_statement at(*writer_, "SELECT gateway FROM gateways");
    while (at.step()) {
        all.push_back(at.text(0));
    }
    return all;
}

} // namespace rollout
