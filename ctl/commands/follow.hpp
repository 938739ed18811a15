// Follows one task: as a picture redrawn in place, as a line or a document per change, or silently.
#pragma once

#include "ctl/api/gateway.hpp"
#include "ctl/commands/output.hpp"
#include "ctl/commands/until_condition.hpp"

#include <chrono>
#include <optional>

namespace rollout::ctl {

struct follow_request {
    until_condition until;
    bool quiet = false;                                           ///< print only the end
    std::optional<std::chrono::milliseconds> timeout;             ///< none: wait without a limit
    std::chrono::milliseconds patience = std::chrono::minutes(1); ///< how long to wait without an answer
};

/// Follows the task to the end that is asked for. Throws command_error (timed_out) if the time is over first.
exit_code follow(gateway &from, const output &to, task_document task, const follow_request &wanted);

/// Shows the current state of the task once: as a picture, or as the document.
void show_task(gateway &from, const output &to, const task_document &task);

} // namespace rollout::ctl
