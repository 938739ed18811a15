#include "worker/rollout/series_keeper.hpp"

#include "worker/base/log.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// A hold may take hours: after so many looks, a second apart, its points are written although it goes on.
constexpr unsigned looks_a_write = 60;

/// A journal that is shared is all that clients of other rolloutd see; each write goes to every one of them.
constexpr unsigned looks_a_shared_write = 10;

constexpr auto series_retry_pause = 1000ms;


std::optional<rollout_series> series_of(const std::optional<stored_series> &stored)
{
    if (!stored || stored->document.empty()) {
        return std::nullopt;
    }
    json_error_t error;
    return rollout_series::from_document(json_read(stored->document, 0, error).get());
}

} // namespace


series_keeper::entry *series_keeper::find_entry(const std::string &task_id)
{
    const auto found = entries_.find(task_id);
    return found == entries_.end() ? nullptr : &found->second;
}


series_keeper::entry &series_keeper::open(const task &of)
{
    const auto [found, is_new] = entries_.try_emplace(of.task_id);
    if (is_new) {
        found->second.model_id = of.model_id;
        load(of.task_id);
    }
    return found->second;
}


void series_keeper::begin(const task &of)
{
    open(of).is_begun = true;
}


void series_keeper::resume(const task &of)
{
    open(of);
}


/// Reads what the journal has, which is older than what is here.
void series_keeper::load(const std::string &task_id)
{
    entries_.at(task_id).load = load_state::loading;
    journal_.find_series(
        task_id, lifetime_.bound([this, task_id](const outcome &ended, const std::optional<stored_series> &stored) {
            on_loaded(task_id, ended, stored);
        }));
}


void series_keeper::on_loaded(const std::string &task_id, const outcome &ended,
                              const std::optional<stored_series> &stored)
{
    entry *const of = find_entry(task_id);
    if (of == nullptr) {
        return;
    }
    if (!ended) {
        log(log_level::warning, "The series of a task could not be read: " + ended.detail, {{"task_id", task_id}});
        of->load = load_state::not_loaded;
        if (of->is_to_save) {
            save_later(task_id);
        }
        return;
    }
    of->load = load_state::loaded;
    if (auto before = series_of(stored)) {
        before->append(of->series);
        of->series = std::move(*before);
        of->is_begun = true;
    } else if (!of->is_begun) {
        entries_.erase(task_id);
        return;
    }
    if (of->is_to_save) {
        save(task_id);
    }
}


void series_keeper::set_limits(const std::string &task_id, std::shared_ptr<const json_t> limits)
{
    if (entry *of = find_entry(task_id)) {
        of->series.set_limits(std::move(limits));
    }
}


void series_keeper::add(const std::string &task_id, series_point look)
{
    entry *const of = find_entry(task_id);
    if (of == nullptr) {
        return;
    }
    look.at_s = time_.wall_us() / 1000000;
    of->series.add(look);
    ++of->looks;
    if (is_due(*of)) {
        save(task_id);
    }
}


/// A long series has a new point only after many looks.
bool series_keeper::is_due(const entry &of) const
{
    return of.looks >= (journal_.is_shared() ? std::max(looks_a_shared_write, of.series.period()) : looks_a_write);
}


void series_keeper::mark(const std::string &task_id, mark_kind what, std::string detail)
{
    if (entry *of = find_entry(task_id)) {
        of->series.mark({time_.wall_us(), what, std::move(detail)});
    }
}


void series_keeper::save(const std::string &task_id)
{
    entry *const of = find_entry(task_id);
    if (of == nullptr) {
        return;
    }
    of->is_to_save = of->load != load_state::loaded;
    if (of->load == load_state::loaded) {
        of->looks = 0;
        ++of->writes;
        journal_.save_series(task_id, of->model_id, of->series.document(task_id, of->model_id),
                             lifetime_.bound([this, task_id](const outcome &ended) { on_saved(task_id, ended); }));
    } else if (of->load == load_state::not_loaded) {
        load(task_id);
    }
}


/// Until its task ends, a series that could not be written is written with the next hold; one that was lost belongs to
/// another rolloutd.
void series_keeper::on_saved(const std::string &task_id, const outcome &ended)
{
    entry *const of = find_entry(task_id);
    if (ended.is_lost()) {
        entries_.erase(task_id);
        return;
    }
    if (!ended) {
        log(log_level::warning, "The series of a task could not be written: " + ended.detail, {{"task_id", task_id}});
    }
    if (of == nullptr || --of->writes != 0 || !of->is_ended) {
        return;
    }
    if (ended) {
        entries_.erase(task_id);
    } else {
        save_later(task_id);
    }
}


void series_keeper::save_later(const std::string &task_id)
{
    entries_.at(task_id).pause = time_.after(series_retry_pause, [this, task_id] { save(task_id); });
}


void series_keeper::end(const std::string &task_id)
{
    if (entry *of = find_entry(task_id)) {
        of->is_ended = true;
        save(task_id);
    }
}


void series_keeper::find(const std::string &task_id, found_fn done)
{
    const bool was_here = find_entry(task_id) != nullptr;
    journal_.find_series(task_id,
                         lifetime_.bound([this, task_id, was_here, done = std::move(done)](
                                             const outcome &ended, const std::optional<stored_series> &stored) {
                             const entry *of = find_entry(task_id);
                             if (!ended || !stored) {
                                 done(ended, std::nullopt);
                             } else if (was_here && of == nullptr) {
                                 find(task_id, done); // it was written for good meanwhile, perhaps after this read
                             } else {
                                 done(ended, document_of(task_id, *stored, of));
                             }
                         }));
}


void series_keeper::find_stored(journal &from, const std::string &task_id, found_fn done)
{
    from.find_series(
        task_id, [task_id, done = std::move(done)](const outcome &ended, const std::optional<stored_series> &stored) {
            done(ended, ended && stored ? std::optional(document_of(task_id, *stored, nullptr)) : std::nullopt);
        });
}


std::string series_keeper::document_of(const std::string &task_id, const stored_series &stored, const entry *of)
{
    if (of == nullptr && !stored.document.empty()) {
        return stored.document;
    }
    rollout_series series;
    if (of == nullptr || of->load != load_state::loaded) {
        series = series_of(stored).value_or(rollout_series());
    }
    if (of != nullptr) {
        series.append(of->series);
    }
    return series.document(task_id, stored.model_id);
}

} // namespace rollout
