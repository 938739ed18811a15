// Answers rolloutd's questions about the counters in shared memory: how many requests are in flight, and the results
// of the requests that a rollout watches.
#pragma once

#include "common/base/json.hpp"

#include <cstdint>

namespace rollout {

class shared_zone;

/// Returns the answer to a `sample`.
json_ptr sampled(const shared_zone &zone, const json_t *question);

/// Returns the answer to a `measure`; `now_s` is from the clock of the meters.
json_ptr measured(const shared_zone &zone, const json_t *question, std::uint32_t now_s);

} // namespace rollout
