// The command line: parses the arguments and runs the command.
#pragma once

namespace rollout::ctl {

/// Runs the command of the arguments and returns the exit status. Errors are written to standard error, after the
/// command's name.
int run(int argc, const char *const *argv) noexcept;

} // namespace rollout::ctl
