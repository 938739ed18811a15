// Which task a person means who names a model or a task.
#pragma once

#include "ctl/api/gateway.hpp"

#include <optional>
#include <string>

namespace rollout::ctl {

/// What is meant by a model's name.
enum class wanted_task {
    current,  ///< the task that runs, else the next to run, else the latest
    followed, ///< a rollback: the latest completed deployment
};

/// The task with that id, or that model's. Throws command_error (not_found) with a sentence if there is neither.
task_document find_named(gateway &from, const std::string &name, wanted_task which = wanted_task::current);

} // namespace rollout::ctl
