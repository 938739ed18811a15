// All tasks that are not over, for `watch` without a name: a table that is redrawn in place, or a line for each change.
#pragma once

#include "ctl/api/gateway.hpp"
#include "ctl/commands/output.hpp"

#include <chrono>
#include <optional>

namespace rollout::ctl {

/// Goes on until it is interrupted, or `timeout` is over (then it is a success: nothing was waited for). Throws command_error if nothing
/// has answered for `patience`.
exit_code watch_all(gateway &from, const output &to, std::optional<std::chrono::milliseconds> timeout,
                    std::chrono::milliseconds patience);

} // namespace rollout::ctl
