// The steps of a deletion: unroute, drain, unload, remove. It removes every revision of a model: the one that serves,
// those that were kept, and those that an earlier task had to leave behind.
#pragma once

#include "worker/rollout/run_step.hpp"

namespace rollout {

run_steps deletion_steps();

} // namespace rollout
