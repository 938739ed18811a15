// Waits for work that others do, and reports it in the task's document.
#pragma once

#include "worker/async/combine.hpp"
#include "worker/rollout/run_context.hpp"

#include <functional>

namespace rollout {

/// Runs `work`. If it does not end soon, the task reports what `words` returns; `words` is called again every second
/// and the document written when the text has changed. Afterwards, the task is reported as working again.
operation_ptr while_waiting(run_context &run, std::function<wait_state()> words, const start_fn &work, done_fn done);

} // namespace rollout
