// Refusals of client requests.
#pragma once

#include "worker/scheduler/requests.hpp"

#include <string>
#include <utility>

namespace rollout {

inline request_answer refused(int status, std::string why, unsigned retry_after_s = 0)
{
    request_answer answer;
    answer.refused = {status, std::move(why), {}, retry_after_s};
    return answer;
}

/// The answer to a change that was lost, see journal.hpp.
inline request_answer refused_as_lost()
{
    return refused(503, "Another rolloutd has taken over the tasks, and nothing was changed; try again.", 1);
}

/// Names a task, as the sentences of refusals begin with it.
inline std::string task_phrase(const std::string &task_id)
{
    return "Task \"" + task_id + "\"";
}

} // namespace rollout
