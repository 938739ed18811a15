// Follows one task: as a picture that is redrawn in place, as a line for each change, as a document for each change, or silently.
#pragma once

#include "ctl/api/gateway.hpp"
#include "ctl/commands/output.hpp"
#include "ctl/commands/until_condition.hpp"

#include <chrono>
#include <optional>

namespace rollout::ctl {

struct follow_request {
    until_condition until;
    bool quiet = false;                                           ///< print the end alone
    std::optional<std::chrono::milliseconds> timeout;             ///< nothing: as long as it takes
    std::chrono::milliseconds patience = std::chrono::minutes(1); ///< without an answer
};

/// Follows the task to the end that is asked for. Throws command_error (timed_out) if the time is over first.
exit_code follow(gateway &from, const output &to, task_document task, const follow_request &wanted);

/// The task as it is now, once: a picture, or the document.
void show_task(gateway &from, const output &to, const task_document &task);

} // namespace rollout::ctl
