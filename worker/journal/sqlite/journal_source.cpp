#include "worker/journal/sqlite/journal_source.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/journal/sqlite/journal_file.hpp"
#include "worker/journal/sqlite/migrations.hpp"
#include "worker/journal/sqlite/reads.hpp"
#include "worker/journal/sqlite/rows.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include <unistd.h>

namespace rollout {

namespace {

/// Whether a document is cut is seen without it, where another query has it.
constexpr std::string_view columns =
    "updated_us, substr(document, 1, 1) = '{' AND substr(document, -1) = '}' AS is_whole FROM tasks ";

std::string query(std::string_view document, std::string_view which)
{
    return "SELECT sequence, revision, kind, status, task_id, model_id, " + std::string(document) + ", " +
           std::string(columns) + std::string(which);
}


/// Throws unless the file is a journal of the newest version.
void check_source(sqlite_database &database, const std::string &path)
{
    const auto application_id = database.number("PRAGMA application_id");
    const auto version = database.number("PRAGMA user_version");
    const auto newest = newest_version(journal_migrations());
    if (application_id == application_id_of(file_kind::replica)) {
        throw permanent_start_error("the file " + shown(path) +
                                    " is a replica of a journal in etcd, not a journal; there is nothing to import");
    }
    if (application_id != application_id_of(file_kind::journal)) {
        throw permanent_start_error("the file " + shown(path) + " is not a journal of rolloutd");
    }
    if (version > newest) {
        throw permanent_start_error("the journal " + shown(path) + " is of version " + std::to_string(version) +
                                    ", this rolloutd knows the versions up to " + std::to_string(newest) +
                                    "; import it with a rolloutd that is as new as the one that wrote it");
    }
    if (version < newest) {
        throw permanent_start_error("the journal " + shown(path) + " is of version " + std::to_string(version) +
                                    ", which is older than this rolloutd's, " + std::to_string(newest) +
                                    ". Start this rolloutd on it once, with journal.type \"sqlite\": it upgrades the "
                                    "journal and keeps a copy of it as it was. Stop it, and import the journal then");
    }
    if (const auto fault = damage_of(database, path); !fault.empty()) {
        throw permanent_start_error(fault);
    }
}


/// Returns how many there are. Throws if one cannot be read: the numbers of its revisions would be used again.
std::uint64_t check_models(sqlite_database &database)
{
    std::uint64_t count = 0;
    sqlite_statement found(database, select_models(""));
    for (; found.step(); ++count) {
        if (!is_model_id(model_at(found).model_id)) {
            throw sqlite_error("the journal's entry of model \"" + clean_text(found.text(0), 300) +
                                   "\" cannot be read: the name is invalid",
                               SQLITE_CORRUPT);
        }
    }
    return count;
}

} // namespace


/// What SQLite puts beside a file that it reads only, its WAL and that one's index, is removed unless it was there: it
/// has nothing in it.
class journal_source::side_files {
  public:
    explicit side_files(const std::string &path)
    {
        for (const char *suffix : {"-wal", "-shm"}) {
            if (::access((path + suffix).c_str(), F_OK) != 0) {
                absent_.push_back(path + suffix);
            }
        }
    }
    ~side_files()
    {
        for (const auto &path : absent_) {
            ::unlink(path.c_str());
        }
    }
    side_files(const side_files &) = delete;
    side_files &operator=(const side_files &) = delete;

  private:
    std::vector<std::string> absent_;
};


/// What was created, changed and written to models, each in the order of revisions.
class journal_source::cursors {
  public:
    explicit cursors(sqlite_database &of)
        : creations_(of, query("CASE WHEN revision > sequence THEN '' ELSE document END", "ORDER BY sequence")),
          changes_(of,
                   query("document", "INDEXED BY tasks_changed WHERE (status <> 'pending' OR revision > sequence) "
                                     "AND revision > sequence ORDER BY revision")),
          models_(of, select_models("ORDER BY revision, model_id")),
          series_(of, "SELECT t.task_id, s.content FROM series s JOIN tasks t USING (sequence) ORDER BY s.sequence")
    {
        next_creation();
        next_change();
        next_model();
    }

    std::uint64_t left_out = 0;

    std::optional<past_write> next()
    {
        past_write made;
        made.at = std::min({creation_.at, change_.at, model_ ? model_->revision : no_more});
        if (made.at == no_more) {
            return std::nullopt;
        }
        if (creation_.at == made.at) {
            made.task = std::exchange(creation_, {}).task;
            next_creation();
        } else if (change_.at == made.at) {
            made.task = std::exchange(change_, {}).task;
            next_change();
        }
        while (model_ && model_->revision == made.at) {
            made.models.push_back(std::move(*model_));
            next_model();
        }
        return made;
    }

    std::optional<replica_series> next_series()
    {
        return series_.step() ? std::optional(replica_series{series_.text(0), std::string(series_.bytes(1))})
                              : std::nullopt;
    }

  private:
    static constexpr std::uint64_t no_more = UINT64_MAX;

    struct next_task {
        std::uint64_t at = no_more;
        replica_task task{};
    };

    /// Steps to the next task that can be read.
    bool step(sqlite_statement &tasks, replica_task &to, bool tells)
    {
        while (tasks.step()) {
            to = {task_row_at(tasks), tasks.number(7)};
            if (is_task_id(to.row.task_id) && is_model_id(to.row.model_id) && tasks.number(8) != 0) {
                return true;
            }
            if (tells) {
                ++left_out;
                log(log_level::warning, "A task of the journal cannot be read and is left out",
                    {{"task_id", to.row.task_id}});
            }
        }
        return false;
    }

    void next_creation()
    {
        creation_.at = step(creations_, creation_.task, true) ? creation_.task.row.sequence : no_more;
    }

    void next_change() { change_.at = step(changes_, change_.task, false) ? change_.task.row.revision : no_more; }

    void next_model()
    {
        model_.reset();
        if (models_.step()) {
            model_ = {models_.text(0), static_cast<std::uint64_t>(models_.number(1)), models_.text(2)};
        }
    }

    sqlite_statement creations_;
    sqlite_statement changes_;
    sqlite_statement models_;
    sqlite_statement series_;
    next_task creation_;
    next_task change_;
    std::optional<replica_model> model_;
};


journal_source::journal_source(const std::string &path)
{
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
        throw permanent_start_error("there is no journal " + shown(path));
    }
    if (::access(path.c_str(), R_OK) != 0) {
        throw std::runtime_error("the journal " + shown(path) + " cannot be read: " + format_errno(errno));
    }
    lock_ = lock_journal(path);
    if (!lock_) {
        throw std::runtime_error("a rolloutd uses the journal " + shown(path) +
                                 "; stop it before its journal is imported");
    }
    beside_ = std::make_unique<side_files>(path);
    database_ = std::make_unique<sqlite_database>(path, SQLITE_OPEN_READONLY);
    sqlite3_db_config(database_->get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    database_->run("BEGIN");
    check_source(*database_, path);
    tasks_ = static_cast<std::uint64_t>(database_->number("SELECT count(*) FROM tasks"));
    models_ = check_models(*database_);
    series_ =
        static_cast<std::uint64_t>(database_->number("SELECT count(*) FROM series JOIN tasks USING (sequence)"));
    gateways_ = reads::gateways(*database_);
    sqlite_statement meta(*database_, "SELECT value FROM meta WHERE name = 'id'");
    id_ = meta.step() ? meta.text(0) : "";
    cursors_ = std::make_unique<cursors>(*database_);
    left_out_ = cursors_->left_out;
}


journal_source::~journal_source() = default;


std::optional<past_write> journal_source::next()
{
    auto write = cursors_->next();
    left_out_ = cursors_->left_out;
    return write;
}


std::optional<replica_series> journal_source::next_series()
{
    return cursors_->next_series();
}

} // namespace rollout
