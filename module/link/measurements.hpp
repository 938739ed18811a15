// What rolloutd asks of the counters in shared memory: how many requests are in flight, what those that a rollout watches came to.
#pragma once

#include "common/base/json.hpp"

#include <cstdint>

namespace rollout {

class shared_zone;

/// The answer to a `sample`.
json_ptr sampled(const shared_zone &zone, const json_t *question);

/// The answer to a `measure`; `now_s` from the clock of the meters.
json_ptr measured(const shared_zone &zone, const json_t *question, std::uint32_t now_s);

} // namespace rollout
