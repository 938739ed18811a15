#include "worker/scheduler/turn_writer.hpp"

#include "worker/scheduler/journal_entry.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// How many tasks are read and written at a time.
constexpr std::size_t most_under_way = 8;

constexpr auto retry_pause = 1000ms;

} // namespace


turn_writer::turn_writer(const task_queues &queues, journal &journal, clock &time, turn_words_fn words)
    : queues_(queues), journal_(journal), time_(time), words_(std::move(words))
{
}


void turn_writer::update(task_name which)
{
    unwritten_.insert(std::move(which));
    work_after(0ms);
}


void turn_writer::update_first(const std::string &model_id)
{
    if (const auto &queue = queues_.of(model_id); !queue.empty()) {
        update({model_id, queue.front().task_id});
    }
}


void turn_writer::check(const std::vector<task_row> &rows)
{
    std::unordered_map<std::string_view, const task_row *> by_id;
    for (const auto &row : rows) {
        by_id.emplace(row.task_id, &row);
    }
    for (const auto &[_, queue] : queues_.all()) {
        std::string before;
        for (const auto &waits : queue) {
            if (const auto row = by_id.find(waits.task_id); row != by_id.end()) {
                check(*row->second, before);
            }
            before = waits.task_id;
        }
    }
}


void turn_writer::check_last(const task_row &row)
{
    const auto &queue = queues_.of(row.model_id);
    if (!queue.empty() && queue.back().task_id == row.task_id) {
        check(row, queue.size() == 1 ? "" : std::prev(queue.end(), 2)->task_id);
    }
}


void turn_writer::check(const task_row &row, const std::string &before)
{
    const auto words = words_(row.model_id, before, row.status == task_status::in_progress);
    if (row.document.find(words.sentence) == std::string::npos) { // none of its characters are escaped
        update({row.model_id, row.task_id});
    }
}


void turn_writer::stop()
{
    stopped_ = true;
    soon_.reset();
}


void turn_writer::work()
{
    while (!stopped_ && under_way_ < most_under_way && !unwritten_.empty()) {
        const task_name which = std::move(unwritten_.extract(unwritten_.begin()).value());
        if (!queues_.contains(which)) {
            continue; // it has begun
        }
        ++under_way_;
        journal_.find(which.task_id, [this, which](const outcome &result, const std::optional<task_row> &row) {
            if (result && row && !stopped_ && queues_.contains(which)) {
                write(which, *row);
            } else {
                on_ended(which, result);
            }
        });
    }
}


void turn_writer::work_after(std::chrono::milliseconds pause)
{
    if (!soon_ && !stopped_) {
        soon_ = time_.after(pause, [this] {
            soon_.reset();
            work();
        });
    }
}


void turn_writer::write(const task_name &which, const task_row &row)
{
    auto waits = read_entry(row);
    if (!waits || is_final(waits->status)) {
        on_ended(which, outcome::ok());
        return;
    }
    const auto words = words_(which.model_id, queues_.before(which), waits->status == task_status::in_progress);
    if (waits->waits_for == words.reason && waits->detail == words.sentence) {
        on_ended(which, outcome::ok());
        return;
    }
    waits->set_waiting(words);
    waits->detail = words.sentence;
    waits->updated_us = std::max(time_.wall_us(), waits->updated_us);
    journal_.save(*waits, nullptr, [this, which](const outcome &result, std::uint64_t) { on_ended(which, result); });
}


/// Retries a task that could not be read or written, later and together with new ones; not one that another rolloutd
/// has now.
void turn_writer::on_ended(const task_name &which, const outcome &result)
{
    --under_way_;
    if (!result && !result.is_lost()) {
        unwritten_.insert(which);
        work_after(retry_pause);
    } else if (!soon_) {
        work();
    }
}

} // namespace rollout
