// Blocking work, such as copying files, on a thread of libuv's pool, presented to the loop as an operation.
#pragma once

#include "worker/async/outcome.hpp"

#include <uv.h>

#include <atomic>
#include <functional>
#include <utility>

namespace rollout {

/// Set when the work should end soon and return `outcome::canceled()` (or something else: work that is almost done
/// may as well succeed).
using stop_flag = std::atomic<bool>;

using blocking_fn = std::function<outcome(const stop_flag &stop)>;

/// Runs `work` on a thread; it must not use anything that the loop uses, and must check `stop` regularly. An
/// exception becomes a permanent failure. If the operation is destroyed, the thread runs on until it next checks
/// `stop`: a caller that will use the same files next should `cancel` and wait for the callback instead. The loop
/// must run until the thread has ended (libuv keeps it alive for that).
///
/// The pool is libuv's own, shared with everything else that the process runs there, and small: UV_THREADPOOL_SIZE.
operation_ptr run_on_thread(uv_loop_t *loop, blocking_fn work, done_fn done);

/// Does the same for callers that should not know the loop: `threads_of`, or a test's stand-in.
using thread_fn = std::function<operation_ptr(blocking_fn work, done_fn done)>;

inline thread_fn threads_of(uv_loop_t *loop)
{
    return [loop](blocking_fn work, done_fn done) { return run_on_thread(loop, std::move(work), std::move(done)); };
}

} // namespace rollout
