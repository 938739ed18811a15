// Blocking work, such as copying files, on a thread of libuv's pool, seen from the loop as an operation.
#pragma once

#include "worker/async/outcome.hpp"

#include <uv.h>

#include <atomic>
#include <functional>

namespace rollout {

/// Set when the work should end soon, returning `outcome::canceled()` (what it returns then is up to it: work that is
/// all but done may as well end well).
using stop_flag = std::atomic<bool>;

/// Runs `work` on a thread; it must touch nothing that the loop touches and look at `stop` every now and then. What it
/// throws becomes a permanent failure. An operation that is destroyed leaves its thread running until its next look at
/// `stop`: whoever is to use the same files next should `cancel` and wait for the callback instead. The loop must run
/// until the thread has ended (libuv keeps it alive for that).
///
/// The pool is libuv's own, shared with all that the process does there, and small: UV_THREADPOOL_SIZE.
operation_ptr run_on_thread(uv_loop_t *loop, std::function<outcome(const stop_flag &stop)> work, done_fn done);

} // namespace rollout
