// The command line: what may be said, and which command it means.
#pragma once

namespace rollout::ctl {

/// Runs what the arguments say, and returns the exit status. Errors are written to standard error, with the command's name.
int run(int argc, const char *const *argv) noexcept;

} // namespace rollout::ctl
