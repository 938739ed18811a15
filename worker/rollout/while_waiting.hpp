// Work of others that a task waits for, and what its document says meanwhile.
#pragma once

#include "worker/async/combine.hpp"
#include "worker/rollout/run_context.hpp"

#include <functional>

namespace rollout {

/// Runs `work`. If it is not over soon, the task says what `words` has to say of it, asked again every second and written when
/// that is another thing than before; it works again afterwards.
operation_ptr while_waiting(run_context &run, std::function<wait_state()> words, const start_fn &work, done_fn done);

} // namespace rollout
