// The steps of a deletion: unroute, drain, unload, remove. It takes away all that stands of a model: what serves, what was
// kept, and what an earlier task had to leave.
#pragma once

#include "worker/rollout/run_step.hpp"

namespace rollout {

run_steps deletion_steps();

} // namespace rollout
