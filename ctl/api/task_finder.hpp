// Finds the task that a person means by the name of a model or a task.
#pragma once

#include "ctl/api/gateway.hpp"

#include <optional>
#include <string>

namespace rollout::ctl {

/// Which task a model's name stands for.
enum class wanted_task {
    current,  ///< the task that runs, else the next to run, else the latest
    followed, ///< for a rollback: the latest completed deployment
};

/// Returns the task with that id, or the task of that model. Throws command_error (not_found) with a sentence if there is
/// neither.
task_document find_named(gateway &from, const std::string &name, wanted_task which = wanted_task::current);

} // namespace rollout::ctl
