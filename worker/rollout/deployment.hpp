// The steps of a deployment: fetch, stage, load, ready, smoke, shift, promote, retire.
#pragma once

#include "worker/rollout/run_step.hpp"

namespace rollout {

run_steps deployment_steps();

} // namespace rollout
