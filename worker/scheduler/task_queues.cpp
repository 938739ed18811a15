#include "worker/scheduler/task_queues.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rollout {

namespace {

/// Queues may be long, and mostly a new task is looked for, which is the last one.
auto find_from_end(const task_queues::queue &tasks, const std::string &task_id)
{
    return std::find_if(tasks.rbegin(), tasks.rend(),
                        [&](const waiting_task &task) { return task.task_id == task_id; });
}

} // namespace


void task_queues::push(const std::string &model_id, waiting_task last)
{
    accepted_us_.emplace_hint(accepted_us_.end(), last.sequence, last.created_us);
    superseding_ += last.supersedes;
    queue &tasks = queues_[model_id];
    tasks.push_back(std::move(last));
    ++size_;
    if (tasks.size() == 1) {
        on_first_changed(model_id);
    }
}


waiting_task task_queues::pop(const std::string &model_id)
{
    return remove(model_id, queues_.at(model_id).begin());
}


waiting_task task_queues::take(const task_name &which)
{
    return remove(which.model_id,
                  std::ranges::find(queues_.at(which.model_id), which.task_id, &waiting_task::task_id));
}


waiting_task task_queues::remove(const std::string &model_id, const queue::const_iterator &position)
{
    queue &tasks = queues_.at(model_id);
    const bool was_first = position == tasks.begin();
    waiting_task taken = *position;
    accepted_us_.erase(taken.sequence);
    superseding_ -= taken.supersedes;
    --size_;
    tell_moved(model_id, tasks, tasks.erase(position));
    if (tasks.empty()) {
        queues_.erase(model_id);
    }
    if (was_first) {
        on_first_changed(model_id);
    }
    return taken;
}


void task_queues::put_back(const std::string &model_id, waiting_task taken)
{
    queue &tasks = queues_[model_id];
    accepted_us_.emplace(taken.sequence, taken.created_us);
    superseding_ += taken.supersedes;
    const auto position =
        tasks.insert(std::ranges::lower_bound(tasks, taken.sequence, {}, &waiting_task::sequence), std::move(taken));
    ++size_;
    tell_moved(model_id, tasks, position);
    tell_moved(model_id, tasks, std::next(position));
    if (position == tasks.begin()) {
        on_first_changed(model_id);
    }
}


void task_queues::tell_moved(const std::string &model_id, const queue &tasks,
                             const queue::const_iterator &position) const
{
    if (position != tasks.end()) {
        on_moved({model_id, position->task_id});
    }
}


bool task_queues::contains(const task_name &which) const
{
    const queue &tasks = of(which.model_id);
    return find_from_end(tasks, which.task_id) != tasks.rend();
}


const task_queues::queue &task_queues::of(const std::string &model_id) const
{
    static const queue none;
    const auto known = queues_.find(model_id);
    return known == queues_.end() ? none : known->second;
}


std::string task_queues::before(const task_name &which) const
{
    const queue &tasks = of(which.model_id);
    const auto position = find_from_end(tasks, which.task_id);
    if (position == tasks.rend()) { // it has begun, or is behind all
        return last(which.model_id);
    }
    return std::next(position) == tasks.rend() ? "" : std::next(position)->task_id;
}


std::string task_queues::last(const std::string &model_id) const
{
    const queue &tasks = of(model_id);
    return tasks.empty() ? "" : tasks.back().task_id;
}


std::optional<std::int64_t> task_queues::oldest_us() const
{
    return accepted_us_.empty() ? std::nullopt : std::optional(accepted_us_.begin()->second);
}


task_queues::supersession task_queues::superseded(const std::string &model_id) const
{
    if (superseding_ == 0) { // called for each new task, and queues may be long
        return {};
    }
    const queue &tasks = of(model_id);
    const auto newer =
        std::find_if(tasks.rbegin(), tasks.rend(), [](const waiting_task &task) { return task.supersedes; });
    if (newer == tasks.rend()) {
        return {};
    }
    supersession found = {newer->task_id, {}};
    std::ranges::copy_if(tasks, std::back_inserter(found.older), [&](const waiting_task &task) {
        return task.is == urgency::deployment && task.sequence < newer->sequence;
    });
    return found;
}

} // namespace rollout
