// Runs an operator's program on rolloutd's loop: with text on its standard input, its exit status as the result, and the
// end of its standard error as the explanation. No shell; standard output is discarded.
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
    std::string input;                ///< for its standard input, followed by end of file
    std::chrono::milliseconds timeout{600000};
    std::chrono::milliseconds grace{5000}; ///< between SIGTERM and SIGKILL, if it is stopped early
};

struct command_end {
    int status = -1;      ///< the exit status; -1 if there is none: then `error` says why in a sentence
    std::string error;    ///< also if the program could not be started
    std::string words;    ///< the last lines of its standard error, cleaned; empty if it wrote nothing
    bool lasting = false; ///< a retry will not help: there is no such program
    bool canceled = false;
};

/// The program has a process group of its own, which is ended as a whole on a timeout, on a cancel, and (at once, by
/// SIGKILL) if the operation is destroyed early. Processes that the program leaves behind keep running. The callback runs
/// when the program has ended, which takes up to `grace` if it is stopped early. The process must ignore SIGPIPE. The
/// loop must outlive all of it and run once more afterwards, so that libuv releases the handles.
operation_ptr run_command(uv_loop_t *loop, command_request request, std::function<void(command_end)> done);

/// EX_TEMPFAIL of sysexits.h: the program says that a retry may succeed.
inline constexpr int exit_may_pass = 75;

/// Ok for 0; transient for 75, for a program that took too long and for one that a signal ended; else permanent. `action`
/// is what the program was to do, as in "load 123__r7 by /usr/local/bin/serve".
outcome outcome_of(const command_end &ended, const std::string &action);

} // namespace rollout
