// A program of the operator's, run on rolloutd's loop: text on its standard input, its exit status as the answer, the end of its
// standard error as the words. No shell; standard output is dropped.
#pragma once

#include "worker/async/outcome.hpp"

#include <uv.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace rollout {

struct command_request {
    std::vector<std::string> command; ///< the program, an absolute path, and its arguments
    std::string input;                ///< for its standard input, which then ends
    std::chrono::milliseconds timeout{600000};
    std::chrono::milliseconds grace{5000}; ///< between SIGTERM and SIGKILL, where it is to end early
};

struct command_end {
    int status = -1;      ///< the exit status; -1 where there is none: then `error` says why in a sentence
    std::string error;    ///< also of a program that could not be started
    std::string words;    ///< the last lines of its standard error, clean; empty where it wrote nothing
    bool lasting = false; ///< running it again will not help: there is no such program
    bool canceled = false;
};

/// The program has a process group of its own, which is ended as a whole when the time is over, at a cancel, and (at once, by
/// SIGKILL) when the operation is destroyed before its end. What the program leaves running behind it lives on. The callback
/// runs when the program has ended, which for one that is to end early takes up to `grace`. The process must ignore
/// SIGPIPE. The loop must outlive it all and run
/// once more afterwards, so that libuv lets go of the handles.
operation_ptr run_command(uv_loop_t *loop, command_request request, std::function<void(command_end)> done);

/// sysexits.h's EX_TEMPFAIL: how a program says that it may go well another time.
inline constexpr int exit_may_pass = 75;

/// Ok for 0; transient for 75, for a program that took too long and for one that a signal ended; else permanent. `action` is
/// what it was to do, as in "load 123__r7 by /usr/local/bin/serve".
outcome outcome_of(const command_end &ended, const std::string &action);

} // namespace rollout
