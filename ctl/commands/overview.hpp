// Shows all unfinished tasks, for `watch` without a name: as a table redrawn in place, or as a line per change.
#pragma once

#include "ctl/api/gateway.hpp"
#include "ctl/commands/output.hpp"

#include <chrono>
#include <optional>

namespace rollout::ctl {

/// Runs until it is interrupted, or until `timeout` is over (a success, since no particular end was waited for). Throws
/// command_error if nothing has answered for `patience`.
exit_code watch_all(gateway &from, const output &to, std::optional<std::chrono::milliseconds> timeout,
                    std::chrono::milliseconds patience);

} // namespace rollout::ctl
