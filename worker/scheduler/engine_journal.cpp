#include "worker/scheduler/engine_journal.hpp"

#include <utility>

namespace rollout {

/// Returns a callback that passes its arguments on, and says how the call ended then.
template <class Done>
auto engine_journal::watched(Done done)
{
    ++under_way_;
    return lifetime_.bound([this, done = std::move(done)](const outcome &result, auto &&...values) {
        const bool is_lost = result.is_lost();
        done(result, std::forward<decltype(values)>(values)...);
        on_ended(is_lost);
    });
}


void engine_journal::on_ended(bool is_lost)
{
    --under_way_;
    if (is_lost && on_lost) {
        on_lost();
    }
    if (under_way_ == 0) {
        if (const auto call = std::exchange(when_idle_, nullptr)) {
            call();
        }
    }
}


void engine_journal::when_idle(std::function<void()> call)
{
    if (under_way_ == 0) {
        call();
    } else {
        when_idle_ = std::move(call);
    }
}


// Writing.

void engine_journal::create(const task &wanted, bool only_find, created_fn done)
{
    to_.create(wanted, only_find, watched(std::move(done)));
}


void engine_journal::save(const task &changed, const model *with, saved_fn done)
{
    to_.save(changed, with, watched(std::move(done)));
}


void engine_journal::save_model(const model &changed, saved_fn done)
{
    to_.save_model(changed, watched(std::move(done)));
}


void engine_journal::remember_gateway(const std::string &gateway, const std::string &processes)
{
    to_.remember_gateway(gateway, processes);
}


void engine_journal::forget_gateway(const std::string &gateway)
{
    to_.forget_gateway(gateway);
}


void engine_journal::purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done)
{
    to_.purge(from, before_us, rows, watched(std::move(done)));
}


void engine_journal::save_series(const std::string &task_id, const std::string &model_id, std::string document,
                                 std::function<void(outcome)> done)
{
    to_.save_series(task_id, model_id, std::move(document), watched(std::move(done)));
}


// Reading.

void engine_journal::find(const std::string &task_id, found_fn done)
{
    to_.find(task_id, watched(std::move(done)));
}


void engine_journal::find_latest(task_kind kind, const std::string &model_id, found_fn done)
{
    to_.find_latest(kind, model_id, watched(std::move(done)));
}


void engine_journal::find_series(const std::string &task_id, series_fn done)
{
    to_.find_series(task_id, watched(std::move(done)));
}


void engine_journal::read_after(std::uint64_t revision, std::size_t max_bytes,
                                std::function<void(outcome, std::vector<task_row>)> done)
{
    to_.read_after(revision, max_bytes, watched(std::move(done)));
}


void engine_journal::list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done)
{
    to_.list(which, limit, max_bytes, watched(std::move(done)));
}


void engine_journal::list_models(const std::string &after, std::size_t limit, models_fn done)
{
    to_.list_models(after, limit, watched(std::move(done)));
}


void engine_journal::list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done)
{
    to_.list_unfinished(after, max_bytes, watched(std::move(done)));
}


void engine_journal::list_all_models(const std::string &after, std::size_t limit, models_fn done)
{
    to_.list_all_models(after, limit, watched(std::move(done)));
}


void engine_journal::list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done)
{
    to_.list_gateways(watched(std::move(done)));
}


void engine_journal::count_tasks(std::function<void(outcome, std::uint64_t)> done)
{
    to_.count_tasks(watched(std::move(done)));
}

} // namespace rollout
