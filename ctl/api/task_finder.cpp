#include "ctl/api/task_finder.hpp"

#include "common/domain/identifiers.hpp"

#include <array>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr std::array kinds = {task_kind::deploy, task_kind::remove};


bool is_better(const task_document &one, const task_document &other) noexcept
{
    const auto rank = [](const task_document &task) {
        return task.status == task_status::in_progress ? 0 : task.status == task_status::pending ? 1 : 2;
    };
    if (rank(one) != rank(other)) {
        return rank(one) < rank(other);
    }
    // Among waiting tasks the earliest is next; among finished ones the latest counts.
    return rank(one) == 1 ? one.created_us < other.created_us : one.created_us > other.created_us;
}


/// If the latest task is waiting, another one may be running.
std::optional<task_document> current_of(gateway &from, task_kind kind, const std::string &model_id)
{
    auto latest = from.find_latest(kind, model_id);
    if (latest && latest->status == task_status::pending) {
        auto running = from.list_tasks(kind, model_id, task_status::in_progress, 1);
        if (!running.empty()) {
            return std::move(running.front());
        }
    }
    return latest;
}


std::optional<task_document> find_current(gateway &from, const std::string &model_id)
{
    std::optional<task_document> found;
    for (const auto kind : kinds) {
        auto task = current_of(from, kind, model_id);
        if (task && (!found || is_better(*task, *found))) {
            found = std::move(task);
        }
    }
    return found;
}


std::optional<task_document> find_completed(gateway &from, const std::string &model_id)
{
    auto completed = from.list_tasks(task_kind::deploy, model_id, task_status::completed, 1);
    return completed.empty() ? from.find_latest(task_kind::deploy, model_id) : std::optional(completed.front());
}

} // namespace


task_document find_named(gateway &from, const std::string &name, wanted_task which)
{
    if (is_model_id(name)) {
        auto task = which == wanted_task::current ? find_current(from, name) : find_completed(from, name);
        if (task) {
            return std::move(*task);
        }
    }
    if (is_task_id(name)) {
        for (const auto kind : kinds) {
            if (auto task = from.find_task(kind, name)) {
                return std::move(*task);
            }
        }
    }
    throw command_error(exit_code::not_found,
                        "There is no task \"" + name + "\", and no task of a model \"" + name +
                            "\". List the models with rolloutctl models, the tasks with rolloutctl list.");
}

} // namespace rollout::ctl
