#include "worker/journal/sqlite/journal_reader.hpp"

#include "worker/async/thread_work.hpp"
#include "worker/journal/sqlite/reads.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace rollout {

journal_reader::journal_reader(uv_loop_t *loop, std::string path, const open_tasks &open)
    : loop_(loop), path_(std::move(path)), open_(open), reads_(loop, path_)
{
}


void journal_reader::find(const std::string &task_id, journal::found_fn done)
{
    ask<std::optional<task_row>>([task_id](sqlite_database &database) { return reads::find(database, task_id); },
                                 std::move(done));
}


void journal_reader::find_latest(task_kind kind, const std::string &model_id, journal::found_fn done)
{
    const auto open = open_.of(kind, model_id);
    const std::uint64_t last_open = open.empty() ? 0 : open.back();
    ask<std::optional<task_row>>(
        [kind, model_id, last_open](sqlite_database &database) {
            return reads::find_latest(database, kind, model_id, last_open);
        },
        std::move(done));
}


void journal_reader::find_series(const std::string &task_id, journal::series_fn done)
{
    ask<std::optional<stored_series>>(
        [task_id](sqlite_database &database) { return reads::find_series(database, task_id); }, std::move(done));
}


void journal_reader::read_after(std::uint64_t revision, std::size_t max_bytes,
                                std::function<void(outcome, std::vector<task_row>)> done)
{
    ask<std::vector<task_row>>(
        [revision, max_bytes](sqlite_database &database) {
            return reads::changes_after(database, revision, max_bytes);
        },
        std::move(done));
}


void journal_reader::list(const task_filter &which, std::size_t limit, std::size_t max_bytes, journal::listed_fn done)
{
    const bool may_be_open = !which.status || !is_final(*which.status);
    const auto open =
        !which.model_id.empty() && may_be_open ? open_.of(which.kind, which.model_id) : open_tasks::sequences();
    ask<reads::task_page>(
        [which, limit, max_bytes, open](sqlite_database &database) {
            return reads::list(database, which, limit, max_bytes, open);
        },
        [done = std::move(done)](const outcome &ended, reads::task_page page) {
            done(ended, std::move(page.rows), page.more);
        });
}


void journal_reader::list_models(const std::string &after, std::size_t limit, journal::models_fn done)
{
    ask<reads::model_page>(
        [after, limit](sqlite_database &database) { return reads::list_models(database, after, limit); },
        [done = std::move(done)](const outcome &ended, reads::model_page page) {
            done(ended, std::move(page.models), page.more);
        });
}


void journal_reader::list_unfinished(std::uint64_t after, std::size_t max_bytes, journal::listed_fn done)
{
    ask<reads::task_page>(
        [after, max_bytes](sqlite_database &database) { return reads::unfinished(database, after, max_bytes); },
        [done = std::move(done)](const outcome &ended, reads::task_page page) {
            done(ended, std::move(page.rows), page.more);
        });
}


void journal_reader::list_all_models(const std::string &after, std::size_t limit, journal::models_fn done)
{
    ask<reads::model_page>(
        [after, limit](sqlite_database &database) { return reads::list_all_models(database, after, limit); },
        [done = std::move(done)](const outcome &ended, reads::model_page page) {
            done(ended, std::move(page.models), page.more);
        });
}


void journal_reader::list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done)
{
    ask<std::vector<known_gateway>>([](sqlite_database &database) { return reads::gateways(database); },
                                    std::move(done));
}


void journal_reader::count_tasks(std::function<void(outcome, std::uint64_t)> done)
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

} // namespace rollout
