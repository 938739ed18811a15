#include "worker/journal/sqlite/journal_replica.hpp"

#include "worker/base/log.hpp"
#include "worker/journal/sqlite/reads.hpp"
#include "worker/journal/sqlite/rows.hpp"
#include "worker/journal/sqlite/writes.hpp"

#include <optional>
#include <utility>

#include <unistd.h>

namespace rollout {

namespace {

std::string put_task_into(std::string_view table)
{
    return "INSERT OR REPLACE INTO " + std::string(table) +
           " (sequence, revision, kind, status, task_id, document, model_id, updated_us) "
           "VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
}


std::string put_model_into(std::string_view table)
{
    return "INSERT OR REPLACE INTO " + std::string(table) + " (model_id, revision, state) VALUES (?, ?, ?)";
}


void put_into(sqlite_statement &tasks, sqlite_statement &models, const replica_changes &changes)
{
    for (const auto &[row, updated_us] : changes.tasks) {
        tasks
            .with(row.sequence, row.revision, kind_name(row.kind), status_name(row.status),
                  std::string_view(row.task_id), std::string_view(row.document), std::string_view(row.model_id),
                  updated_us)
            .run();
    }
    for (const auto &of : changes.models) {
        models.with(std::string_view(of.model_id), of.revision, std::string_view(of.state)).run();
    }
}


/// Not part of the schema: there while the replica is resynchronised.
constexpr char make_shadow[] = R"(
    DROP TABLE IF EXISTS shadow_tasks;
    DROP TABLE IF EXISTS shadow_models;
    DROP TABLE IF EXISTS shadow_series;
    CREATE TABLE shadow_tasks (
        sequence INTEGER PRIMARY KEY, task_id TEXT NOT NULL, kind TEXT NOT NULL, model_id TEXT NOT NULL,
        status TEXT NOT NULL, revision INTEGER NOT NULL, updated_us INTEGER NOT NULL, document TEXT NOT NULL
    );
    CREATE TABLE shadow_models (model_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE shadow_series (task_id TEXT PRIMARY KEY, content BLOB NOT NULL);
)";

/// Leaves in place what is the same in both, which is nearly all after a compaction.
constexpr char take_shadow[] = R"(
    DELETE FROM tasks WHERE NOT EXISTS (SELECT 1 FROM shadow_tasks s WHERE s.sequence = tasks.sequence
        AND s.revision = tasks.revision AND s.task_id = tasks.task_id AND s.document = tasks.document);
    INSERT INTO tasks (sequence, revision, kind, status, task_id, document, model_id, updated_us)
        SELECT sequence, revision, kind, status, task_id, document, model_id, updated_us FROM shadow_tasks s
        WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.sequence = s.sequence);
    DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM tasks t JOIN shadow_series s USING (task_id)
        WHERE t.sequence = series.sequence AND s.content = series.content);
    INSERT INTO series (sequence, model_id, content)
        SELECT t.sequence, t.model_id, s.content FROM shadow_series s JOIN tasks t USING (task_id)
        WHERE t.sequence NOT IN (SELECT sequence FROM series);
    DELETE FROM models;
    INSERT INTO models (model_id, revision, state) SELECT model_id, revision, state FROM shadow_models;
    DROP TABLE shadow_tasks;
    DROP TABLE shadow_models;
    DROP TABLE shadow_series;
)";


/// A file that is damaged is as none at all: it is filled again.
journal_file open_file(const std::string &path, const std::function<bool()> &at_work)
{
    try {
        return journal_file(path, journal_migrations(), at_work, file_kind::replica);
    } catch (const damaged_replica &error) {
        log(log_level::warning, std::string(error.what()) + ". It is removed, and everything is read from etcd anew");
    }
    if (const auto lock = lock_journal(path)) {
        for (const char *const suffix : {"", "-wal", "-shm", ".damaged"}) {
            ::unlink((path + suffix).c_str());
        }
    }
    return journal_file(path, journal_migrations(), at_work, file_kind::replica);
}


replica_position position_in(sqlite_database &database, std::uint64_t revision)
{
    replica_position read;
    read.revision = revision;
    sqlite_statement meta(database, "SELECT value FROM meta WHERE name = ?");
    const auto value = [&meta](std::string_view name) {
        auto text = meta.with(name).step() ? meta.text(0) : std::string();
        meta.reset();
        return text;
    };
    read.journal_id = value("replica_of");
    read.mark = value("mark");
    if (meta.with(std::string_view("cluster")).step()) {
        read.cluster = static_cast<std::uint64_t>(meta.number(0));
    }
    return read;
}

} // namespace


class journal_replica::statements {
  public:
    explicit statements(sqlite_database &of)
        : database(of), put_task(of, put_task_into("tasks")), put_model(of, put_model_into("models")),
          remove_series(of, "DELETE FROM series WHERE sequence = (SELECT sequence FROM tasks WHERE task_id = ?)"),
          remove_task(of, "DELETE FROM tasks WHERE task_id = ?"),
          put_meta(of, "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")
    {
    }

    void put_position(const replica_position &to)
    {
        put_meta.with(std::string_view("replica_of"), std::string_view(to.journal_id)).run();
        put_meta.with(std::string_view("cluster"), to.cluster).run();
        put_meta.with(std::string_view("mark"), std::string_view(to.mark)).run();
    }

    sqlite_database &database;
    sqlite_statement put_task;
    sqlite_statement put_model;
    sqlite_statement remove_series;
    sqlite_statement remove_task;
    sqlite_statement put_meta;
};


/// A write that only replicas have.
class journal_replica::change : public journal_write {
  public:
    change(statements &with, done_fn done) : with_(with), done_(std::move(done)) {}

    void end(const outcome &ended) override { done_(ended); }

    /// Called on the loop when it is committed.
    virtual void committed(journal_replica &) {}

  protected:
    statements &with_;

  private:
    done_fn done_;
};


class journal_replica::application final : public change {
  public:
    application(statements &with, std::shared_ptr<const replica_changes> changes, std::uint64_t from,
                replica_position to, done_fn done)
        : change(with, std::move(done)), changes_(std::move(changes)), from_(from), to_(std::move(to))
    {
    }

    void apply(write_statements &of_file) override
    {
        follows_ = of_file.revision == from_;
        if (!follows_) {
            return;
        }
        put_into(with_.put_task, with_.put_model, *changes_);
        for (const auto &[task_id, content] : changes_->series) {
            of_file.put_series.with(sqlite_bytes{content}, std::string_view(task_id)).run();
        }
        for (const auto &task_id : changes_->removed_series) {
            with_.remove_series.with(std::string_view(task_id)).run();
        }
        for (const auto &task_id : changes_->removed) {
            with_.remove_series.with(std::string_view(task_id)).run();
            with_.remove_task.with(std::string_view(task_id)).run();
        }
        with_.put_position(to_);
        of_file.revision = to_.revision;
    }

    void committed(journal_replica &of) override
    {
        if (!follows_) {
            return;
        }
        for (const auto &put : changes_->tasks) {
            of.open_.note(put.row);
        }
        of.position_ = std::move(to_);
    }

    void end(const outcome &ended) override
    {
        change::end(ended && !follows_ ? outcome::transient("the changes before these are not in the replica")
                                       : ended);
    }

    const char *name() const noexcept override { return "apply"; }

  private:
    std::shared_ptr<const replica_changes> changes_;
    std::uint64_t from_;
    replica_position to_;
    bool follows_ = true; ///< the changes before it are there
};


class journal_replica::shadow_start final : public change {
  public:
    using change::change;

    void apply(write_statements &) override { with_.database.run(make_shadow); }
    const char *name() const noexcept override { return "shadow"; }
};


class journal_replica::shadow_page final : public change {
  public:
    shadow_page(statements &with, replica_changes changes, done_fn done)
        : change(with, std::move(done)), changes_(std::move(changes))
    {
    }

    void apply(write_statements &) override
    {
        sqlite_statement put_task(with_.database, put_task_into("shadow_tasks"));
        sqlite_statement put_model(with_.database, put_model_into("shadow_models"));
        put_into(put_task, put_model, changes_);
        sqlite_statement put_series(with_.database,
                                    "INSERT OR REPLACE INTO shadow_series (task_id, content) VALUES (?, ?)");
        for (const auto &[task_id, content] : changes_.series) {
            put_series.with(std::string_view(task_id), sqlite_bytes{content}).run();
        }
    }

    const char *name() const noexcept override { return "shadow_page"; }

  private:
    replica_changes changes_;
};


class journal_replica::shadow_swap final : public change {
  public:
    shadow_swap(statements &with, replica_position to, done_fn done)
        : change(with, std::move(done)), to_(std::move(to))
    {
    }

    void apply(write_statements &of_file) override
    {
        with_.database.run(take_shadow);
        with_.put_position(to_);
        of_file.revision = to_.revision;
        open_.emplace(with_.database);
    }

    void committed(journal_replica &of) override
    {
        of.open_ = std::move(*open_);
        of.position_ = std::move(to_);
    }

    const char *name() const noexcept override { return "shadow_swap"; }

  private:
    replica_position to_;
    std::optional<open_tasks> open_;
};


journal_replica::journal_replica(uv_loop_t *loop, const std::string &path, const std::function<bool()> &at_work)
    : path_(path), file_(open_file(path, at_work)), position_(position_in(file_.writer, file_.revision)),
      open_(file_.writer), statements_(std::make_unique<statements>(file_.writer)), checkpoints_(file_.writer, path),
      committer_(
          loop, file_.writer, file_.revision, [this] { checkpoints_.after_commit(); },
          [this](const commit_batch &batch) { end_batch(batch); }),
      reader_(loop, path, open_)
{
    file_.writer.run("PRAGMA synchronous = NORMAL");
}


journal_replica::~journal_replica() = default;


void journal_replica::apply(std::shared_ptr<const replica_changes> changes, std::uint64_t from, replica_position to,
                            done_fn done)
{
    committer_.add(
        std::make_unique<application>(*statements_, std::move(changes), from, std::move(to), std::move(done)));
}


void journal_replica::begin_shadow(done_fn done)
{
    committer_.add(std::make_unique<shadow_start>(*statements_, std::move(done)));
}


void journal_replica::add_to_shadow(replica_changes changes, done_fn done)
{
    committer_.add(std::make_unique<shadow_page>(*statements_, std::move(changes), std::move(done)));
}


void journal_replica::swap_shadow(replica_position to, done_fn done)
{
    committer_.add(std::make_unique<shadow_swap>(*statements_, std::move(to), std::move(done)));
}


void journal_replica::remember_gateway(const std::string &gateway, const std::string &processes)
{
    committer_.add(writes::remember_gateway(gateway, processes));
}


void journal_replica::forget_gateway(const std::string &gateway)
{
    committer_.add(writes::forget_gateway(gateway));
}


void journal_replica::end_batch(const commit_batch &batch)
{
    if (batch.is_damaged) {
        note_damage(batch.ended);
    }
    for (const auto &write : batch.writes) {
        if (auto *of_replica = dynamic_cast<change *>(write.get()); of_replica != nullptr && batch.ended) {
            of_replica->committed(*this);
        }
    }
    for (const auto &write : batch.writes) {
        write->end(batch.ended);
    }
}


/// The file stays open: a process that starts reads it whole, and begins it anew.
void journal_replica::note_damage(const outcome &why)
{
    if (!std::exchange(is_damaged_, true)) {
        log(log_level::error, why.detail + ". This copy of what is in etcd is damaged: restart rolloutd, which then "
                                           "reads everything from etcd anew");
        journal_file::mark_damaged(path_);
    }
}

} // namespace rollout
