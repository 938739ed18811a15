// The exit statuses of rolloutctl; docs/rolloutctl.md has the table.
#pragma once

namespace rollout::ctl {

enum class exit_code {
    success = 0,
    failed = 1,     ///< the task has failed or was refused
    usage = 2,      ///< the command line, the settings or the request is malformed
    canceled = 3,   ///< the task was canceled, or a person said no
    timed_out = 4,  ///< the time is over; the task continues
    not_found = 5,  ///< there is no such task or model
    forbidden = 6,  ///< not allowed, or in conflict with the task's state
    unreachable = 7 ///< no gateway, or no rolloutd behind it
};

} // namespace rollout::ctl
