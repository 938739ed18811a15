// How a rollout spends its chance of a false alarm: divided once, among its holds and among the tests that its gate
// makes in each.
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
    client_errors, ///< 4xx far above blue's: a server answers 400 for a model that is no longer loaded
    abandoned,     ///< far more clients give up than with blue
};

/// Returns the configuration member of a test, such as `max_error_rate`, or a name such as `client_errors` for a test
/// that no member asks for.
const char *gate_test_name(gate_test test) noexcept;

/// The share of requests that may be slower than a p99 limit.
inline constexpr double slow_share = 0.01;

struct gate_share {
    gate_test test;
    double false_alarm; ///< of this test, in one hold
};

/// Counts the holds that the gate judges, including the watch after the promotion.
std::size_t judged_holds(const rollout_settings &of) noexcept;

/// Divides the chance among the tests of a hold, of which the rollout has `holds`. A hold that starts again after a
/// restart of rolloutd gets less: the first `attempt` four fifths, each later one half of what is left.
std::vector<gate_share> divide_false_alarm(const gate_settings &gate, std::size_t holds, unsigned attempt = 1);

/// Returns the report for `metadata.plan.gate`: the limits, the division, and, given the model's requests of the last
/// minute, what each hold can detect.
json_ptr gate_plan_report(const rollout_settings &of, std::optional<std::uint64_t> requests_a_minute);

/// Returns, as sentences, which settings of the gate cannot do what they seem to, whatever the traffic.
std::vector<std::string> gate_warnings(const rollout_settings &of);

/// Returns, as sentences, which holds are too short to detect a breach of their own limits at the model's traffic of
/// the last minute, or at one request a second if that is not known.
std::vector<std::string> hold_warnings(const rollout_settings &of, std::optional<std::uint64_t> requests_a_minute);

} // namespace rollout
