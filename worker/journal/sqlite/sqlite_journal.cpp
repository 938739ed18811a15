#include "worker/journal/sqlite/sqlite_journal.hpp"

#include "worker/async/thread_work.hpp"
#include "worker/base/log.hpp"

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
      reader_(loop, path, opened_->open)
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
    return committer_.busy() || reader_.busy() || integrity_check_;
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
    reader_.find(task_id, std::move(done));
}


void sqlite_journal::find_latest(task_kind kind, const std::string &model_id, found_fn done)
{
    reader_.find_latest(kind, model_id, std::move(done));
}


void sqlite_journal::find_series(const std::string &task_id, series_fn done)
{
    reader_.find_series(task_id, std::move(done));
}


void sqlite_journal::read_after(std::uint64_t revision, std::size_t max_bytes,
                                std::function<void(outcome, std::vector<task_row>)> done)
{
    reader_.read_after(revision, max_bytes, std::move(done));
}


void sqlite_journal::list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done)
{
    reader_.list(which, limit, max_bytes, std::move(done));
}


void sqlite_journal::list_models(const std::string &after, std::size_t limit, models_fn done)
{
    reader_.list_models(after, limit, std::move(done));
}


void sqlite_journal::list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done)
{
    reader_.list_unfinished(after, max_bytes, std::move(done));
}


void sqlite_journal::list_all_models(const std::string &after, std::size_t limit, models_fn done)
{
    reader_.list_all_models(after, limit, std::move(done));
}


void sqlite_journal::list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done)
{
    reader_.list_gateways(std::move(done));
}


void sqlite_journal::count_tasks(std::function<void(outcome, std::uint64_t)> done)
{
    reader_.count_tasks(std::move(done));
}

} // namespace rollout
