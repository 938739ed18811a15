// What the documents of tasks say that wait for their turn. They are not kept in memory, only their ids: one whose words may be
// others by now is read and, if they are, written.
#include "worker/rollout/waiting_words.hpp"
#include "worker/scheduler/scheduler.hpp"

#include <algorithm>
#include <string_view>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// Tasks that are read and written at a time: of a long queue, one after the other, behind what is more urgent.
constexpr std::size_t most_turns = 8;

constexpr auto retry_pause = 1000ms;

} // namespace


/// `before`: the task of the model that is before it in the queue; empty: none.
wait_state scheduler::waiting_words_of(const std::string &model_id, const std::string &before, bool was_begun) const
{
    turn_view view;
    view.was_begun = was_begun;
    view.behind = before;
    if (const auto run = runs_.find(model_id); run != runs_.end()) {
        view.running = run->second.task.task_id;
        view.running_waits_for = run->second.run ? run->second.run->task().waits_for : wait_reason::none;
    }
    view.none_may_run = config_->limits.max_concurrent_rollouts == 0;
    view.is_full = is_full();
    return wait_for_turn(view);
}


wait_state scheduler::waiting_words_of(const waiting_name &which, bool was_begun) const
{
    const auto &queue = queues_.at(which.first);
    const auto at = std::ranges::find(queue, which.second, &waiting_task::task_id);
    return waiting_words_of(which.first, at == queue.begin() ? "" : std::prev(at)->task_id, was_begun);
}


/// Null where it does not wait any more.
const scheduler::waiting_task *scheduler::find_waiting(const waiting_name &which) const
{
    const auto queue = queues_.find(which.first);
    if (queue == queues_.end()) {
        return nullptr;
    }
    const auto at = std::ranges::find(queue->second, which.second, &waiting_task::task_id);
    return at == queue->second.end() ? nullptr : &*at;
}


/// Where the document of a task that waits says something else than what it waits for.
void scheduler::check_turn(const task_row &row, const std::string &before)
{
    const auto words = waiting_words_of(row.model_id, before, row.status == task_status::in_progress);
    if (row.document.find(words.sentence) == std::string::npos) { // none of its characters are escaped
        say_turn({row.model_id, row.task_id});
    }
}


/// Of these, those that wait.
void scheduler::check_turns(const std::vector<task_row> &of)
{
    std::unordered_map<std::string_view, const task_row *> rows;
    for (const auto &row : of) {
        rows.emplace(row.task_id, &row);
    }
    for (const auto &[_, queue] : queues_) {
        std::string before;
        for (const auto &waits : queue) {
            if (const auto row = rows.find(waits.task_id); row != rows.end()) {
                check_turn(*row->second, before);
            }
            before = waits.task_id;
        }
    }
}


/// Of a task that has just been put in its queue, unless it has begun.
void scheduler::check_last_turn(const task_row &row)
{
    const auto known = queues_.find(row.model_id);
    if (known != queues_.end() && known->second.back().task_id == row.task_id) {
        const auto &queue = known->second;
        check_turn(row, queue.size() == 1 ? "" : queue[queue.size() - 2].task_id);
    }
}


std::vector<std::string> scheduler::tasks_of(const std::string &model_id, std::size_t most) const
{
    std::vector<std::string> ids;
    if (const auto run = runs_.find(model_id); run != runs_.end() && most != 0) {
        ids.push_back(run->second.task.task_id);
    }
    if (const auto queue = queues_.find(model_id); queue != queues_.end()) {
        for (auto at = queue->second.begin(); at != queue->second.end() && ids.size() < most; ++at) {
            ids.push_back(at->task_id);
        }
    }
    return ids;
}


void scheduler::say_turn_of_first(const std::string &model_id)
{
    if (const auto queue = queues_.find(model_id); queue != queues_.end()) {
        say_turn({model_id, queue->second.front().task_id});
    }
}


void scheduler::say_turn(const waiting_name &which)
{
    unsaid_turns_.insert(which);
    write_turns_after(0ms);
}


void scheduler::write_turns()
{
    while (!stopping_ && turns_under_way_ < most_turns && !unsaid_turns_.empty()) {
        const waiting_name which = std::move(unsaid_turns_.extract(unsaid_turns_.begin()).value());
        if (find_waiting(which) == nullptr) {
            continue; // it has begun
        }
        ++turns_under_way_;
        book_.find(which.second, [this, which](const outcome &how, const std::optional<task_row> &row) {
            if (how && row && !stopping_ && find_waiting(which) != nullptr) {
                write_turn(which, *row);
            } else {
                on_turn_written(which, how);
            }
        });
    }
}


void scheduler::write_turn(const waiting_name &which, const task_row &row)
{
    auto of = task_of(row);
    if (!of || is_final(of->status)) {
        on_turn_written(which, outcome::ok());
        return;
    }
    const auto words = waiting_words_of(which, of->status == task_status::in_progress);
    if (of->waits_for == words.reason && of->detail == words.sentence) {
        on_turn_written(which, outcome::ok());
        return;
    }
    of->set_waiting(words);
    of->detail = words.sentence;
    of->updated_us = std::max(time_.wall_us(), of->updated_us);
    book_.save(*of, nullptr, [this, which](const outcome &how, std::uint64_t) { on_turn_written(which, how); });
}


/// One that could not be read or written is tried again later, with those that come meanwhile.
void scheduler::on_turn_written(const waiting_name &which, const outcome &how)
{
    --turns_under_way_;
    if (!how) {
        unsaid_turns_.insert(which);
        write_turns_after(retry_pause);
    } else if (!turns_soon_) {
        write_turns();
    }
}


void scheduler::write_turns_after(std::chrono::milliseconds pause)
{
    if (!turns_soon_ && !stopping_) {
        turns_soon_ = time_.after(pause, [this] {
            turns_soon_.reset();
            write_turns();
        });
    }
}

} // namespace rollout
