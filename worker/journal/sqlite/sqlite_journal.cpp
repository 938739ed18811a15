#include "worker/journal/sqlite/sqlite_journal.hpp"

#include "worker/async/thread_work.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/sqlite/reads.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace rollout {

sqlite_journal::opened_file::opened_file(const std::string &path, std::function<bool()> at_work)
    : file(path, journal_migrations(), std::move(at_work)), open(file.writer)
{
}


sqlite_journal::sqlite_journal(uv_loop_t *loop, const std::string &path, std::unique_ptr<opened_file> opened)
    : loop_(loop), path_(path), opened_(std::move(opened)), revision_(opened_->file.revision),
      checkpoints_(opened_->file.writer, path),
      committer_(
          loop, opened_->file.writer, revision_, [this] { checkpoints_.after_commit(); },
          [this](const commit_batch &batch) { end_batch(batch); }),
      reads_(loop, path)
{
}


sqlite_journal::~sqlite_journal() = default;


void sqlite_journal::check_integrity(std::function<void(const std::string &fault)> found)
{
    if (opened_->file.is_whole) {
        return;
    }
    integrity_check_ = run_on_thread(
        loop_, [path = path_](const stop_flag &stop) { return journal_file::check_integrity(path, stop); },
        [this, found = std::move(found)](const outcome &ended) {
            integrity_check_.reset();
            if (ended.is == outcome::kind::permanent) {
                found(ended.detail);
            }
        });
}


void sqlite_journal::stop_integrity_check()
{
    if (integrity_check_) {
        integrity_check_->cancel();
    }
}


bool sqlite_journal::busy() const noexcept
{
    return committer_.busy() || reads_.busy() || integrity_check_ || counting_;
}


// Writing.

void sqlite_journal::create(const task &wanted, bool only_find, created_fn done)
{
    committer_.add(writes::create(wanted, only_find, std::move(done)));
}


void sqlite_journal::save(const task &changed, const model *with, saved_fn done)
{
    committer_.add(writes::save(changed, with, std::move(done)));
}


void sqlite_journal::save_model(const model &changed, saved_fn done)
{
    committer_.add(writes::save_model(changed, std::move(done)));
}


void sqlite_journal::remember_gateway(const std::string &gateway, const std::string &processes)
{
    committer_.add(writes::remember_gateway(gateway, processes));
}


void sqlite_journal::forget_gateway(const std::string &gateway)
{
    committer_.add(writes::forget_gateway(gateway));
}


void sqlite_journal::purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done)
{
    committer_.add(writes::purge(from, before_us, rows, std::move(done)));
}


void sqlite_journal::save_series(const std::string &task_id, const std::string &model_id, std::string document,
                                 std::function<void(outcome)> done)
{
    committer_.add(writes::save_series(task_id, model_id, document, std::move(done)));
}


void sqlite_journal::end_batch(const commit_batch &batch)
{
    const auto before = std::exchange(revision_, batch.revision);
    const log_batch audits; // each answer has its line
    if (on_attempt) {
        on_attempt(batch.took, static_cast<bool>(batch.ended));
    }
    if (batch.ended) {
        for (const auto &write : batch.writes) {
            if (const task_row *row = write->news()) {
                opened_->open.note(*row);
            }
        }
    }
    for (const auto &write : batch.writes) {
        write->end(batch.ended);
    }
    if (batch.ended && on_commit) {
        journal_news news{.before = before, .now = batch.revision};
        news.rows.reserve(batch.writes.size());
        for (const auto &write : batch.writes) {
            if (task_row *row = write->news()) {
                news.rows.push_back(std::move(*row));
            }
            if (model *changed = write->model_news()) {
                news.models.push_back(std::move(*changed));
            }
        }
        on_commit(news);
    }
}


// Reading.

void sqlite_journal::find(const std::string &task_id, found_fn done)
{
    reads_.ask<std::optional<task_row>>(
        [task_id](sqlite_database &database) { return reads::find(database, task_id); }, std::move(done));
}


void sqlite_journal::find_latest(task_kind kind, const std::string &model_id, found_fn done)
{
    const auto open = opened_->open.of(kind, model_id);
    const std::uint64_t last_open = open.empty() ? 0 : open.back();
    reads_.ask<std::optional<task_row>>(
        [kind, model_id, last_open](sqlite_database &database) {
            return reads::find_latest(database, kind, model_id, last_open);
        },
        std::move(done));
}


void sqlite_journal::find_series(const std::string &task_id, series_fn done)
{
    reads_.ask<std::optional<stored_series>>(
        [task_id](sqlite_database &database) { return reads::find_series(database, task_id); }, std::move(done));
}


void sqlite_journal::read_after(std::uint64_t revision, std::size_t max_bytes,
                                std::function<void(outcome, std::vector<task_row>)> done)
{
    reads_.ask<std::vector<task_row>>(
        [revision, max_bytes](sqlite_database &database) {
            return reads::changes_after(database, revision, max_bytes);
        },
        std::move(done));
}


void sqlite_journal::list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done)
{
    const bool may_be_open = !which.status || !is_final(*which.status);
    const auto open = !which.model_id.empty() && may_be_open ? opened_->open.of(which.kind, which.model_id)
                                                             : open_tasks::sequences();
    reads_.ask<reads::task_page>(
        [which, limit, max_bytes, open](sqlite_database &database) {
            return reads::list(database, which, limit, max_bytes, open);
        },
        [done = std::move(done)](const outcome &ended, reads::task_page page) {
            done(ended, std::move(page.rows), page.more);
        });
}


void sqlite_journal::list_models(const std::string &after, std::size_t limit, models_fn done)
{
    reads_.ask<reads::model_page>(
        [after, limit](sqlite_database &database) { return reads::list_models(database, after, limit); },
        [done = std::move(done)](const outcome &ended, reads::model_page page) {
            done(ended, std::move(page.models), page.more);
        });
}


void sqlite_journal::count_tasks(std::function<void(outcome, std::uint64_t)> done)
{
    auto count = std::make_shared<std::uint64_t>(0);
    counting_ = run_on_thread(
        loop_,
        [path = path_, count](const stop_flag &) {
            sqlite_database reader(path, SQLITE_OPEN_READONLY);
            *count = reads::count_tasks(reader);
            return outcome::ok();
        },
        [this, count, done = std::move(done)](const outcome &ended) {
            counting_.reset();
            done(ended, *count);
        });
}


void sqlite_journal::list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done)
{
    reads_.ask<reads::task_page>(
        [after, max_bytes](sqlite_database &database) { return reads::unfinished(database, after, max_bytes); },
        [done = std::move(done)](const outcome &ended, reads::task_page page) {
            done(ended, std::move(page.rows), page.more);
        });
}


void sqlite_journal::list_all_models(const std::string &after, std::size_t limit, models_fn done)
{
    reads_.ask<reads::model_page>(
        [after, limit](sqlite_database &database) { return reads::list_all_models(database, after, limit); },
        [done = std::move(done)](const outcome &ended, reads::model_page page) {
            done(ended, std::move(page.models), page.more);
        });
}


void sqlite_journal::list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done)
{
    reads_.ask<std::vector<known_gateway>>([](sqlite_database &database) { return reads::gateways(database); },
                                           std::move(done));
}

} // namespace rollout
