// Blocking work, such as copying files, on a thread of libuv's pool, seen from the loop as an operation.
#pragma once

#include "worker/async/outcome.hpp"

#include <uv.h>

#include <atomic>
#include <functional>
#include <utility>

namespace rollout {

/// Set when the work should end soon, returning `outcome::canceled()` (what it returns then is up to it: work that is
/// all but done may as well end well).
using stop_flag = std::atomic<bool>;

using blocking_fn = std::function<outcome(const stop_flag &stop)>;

/// Runs `work` on a thread; it must touch nothing that the loop touches and look at `stop` every now and then. What it
/// throws becomes a permanent failure. An operation that is destroyed leaves its thread running until its next look at
/// `stop`: whoever is to use the same files next should `cancel` and wait for the callback instead. The loop must run
/// until the thread has ended (libuv keeps it alive for that).
///
/// The pool is libuv's own, shared with all that the process does there, and small: UV_THREADPOOL_SIZE.
operation_ptr run_on_thread(uv_loop_t *loop, blocking_fn work, done_fn done);

/// The same, for those who should not know the loop: `threads_of`, or a test's stand-in.
using thread_fn = std::function<operation_ptr(blocking_fn work, done_fn done)>;

inline thread_fn threads_of(uv_loop_t *loop)
{
    return [loop](blocking_fn work, done_fn done) { return run_on_thread(loop, std::move(work), std::move(done)); };
}

} // namespace rollout
