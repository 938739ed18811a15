// How a rollout spends its chance of a false alarm: divided once, over its holds and over the tests that its gate makes in each.
#pragma once

#include "common/base/json.hpp"
#include "worker/config/settings.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

enum class gate_test : std::uint8_t {
    error_rate,
    p99,
    error_ratio,
    p99_ratio,
    client_errors, ///< 4xx far above blue's: a server answers 400 for a model that fell away
    abandoned,     ///< far more clients give up than with blue
};

/// `max_error_rate`, or `client_errors` for what no member asks for.
const char *gate_test_name(gate_test test) noexcept;

/// The share of requests that may be slower than a p99.
inline constexpr double slow_share = 0.01;

struct gate_share {
    gate_test test;
    double false_alarm; ///< of this test in one hold
};

/// Counts the holds that the gate judges, the watch after the promotion among them.
std::size_t judged_holds(const rollout_settings &of) noexcept;

/// Divides what each test of one of so many holds may spend. A hold that is begun anew, after a restart of rolloutd, has less: the
/// first `attempt` four fifths, each one after it half of what is left.
std::vector<gate_share> divide_false_alarm(const gate_settings &gate, std::size_t holds, unsigned attempt = 1);

/// Reports, for `metadata.plan.gate`: the limits, the division, and with the model's requests of the last minute what each hold can see.
json_ptr gate_plan_report(const rollout_settings &of, std::optional<std::uint64_t> requests_a_minute);

/// Says what of the gate cannot work as it looks, whatever the traffic, in sentences.
std::vector<std::string> gate_warnings(const rollout_settings &of);

/// Says which holds are too short to see a breach of their own limits at the model's traffic of the last minute, or, if that is not
/// known, at one request a second.
std::vector<std::string> hold_warnings(const rollout_settings &of, std::optional<std::uint64_t> requests_a_minute);

} // namespace rollout
