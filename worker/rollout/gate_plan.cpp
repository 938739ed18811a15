#include "worker/rollout/gate_plan.hpp"

#include "worker/base/format.hpp"
#include "worker/rollout/evidence.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace rollout {

namespace {

/// Tests that nobody configured are made as well, for a small part of the chance.
constexpr double weight_of_unasked = 0.25;

/// The part of its chance that a hold may spend when it starts for the first time; each later start gets half of what
/// is left.
constexpr double first_attempt = 0.8;

/// A hold that can only detect shares of that many times its limit gets a warning.
constexpr double blind_factor = 10;


/// Returns the tests that the gate's limits ask for, each with its weight.
std::vector<gate_share> weighted_tests(const gate_settings &gate)
{
    std::vector<gate_share> tests;
    const auto add = [&tests](bool is_made, gate_test test, double weight) {
        if (is_made) {
            tests.push_back({test, weight});
        }
    };
    add(gate.max_error_rate && *gate.max_error_rate < 1, gate_test::error_rate, 1);
    add(gate.max_p99_ms.has_value(), gate_test::p99, 1);
    add(gate.max_error_ratio_to_blue.has_value(), gate_test::error_ratio, 1);
    add(gate.max_p99_ratio_to_blue.has_value(), gate_test::p99_ratio, 1);
    add(gate.max_error_rate || gate.max_error_ratio_to_blue, gate_test::client_errors, weight_of_unasked);
    add(true, gate_test::abandoned, weight_of_unasked);
    return tests;
}


/// A planned hold.
struct planned_hold {
    std::string name; ///< "the hold at 5 %"
    unsigned weight;
    std::uint64_t hold_s;
};

std::vector<planned_hold> holds_of(const rollout_settings &of)
{
    std::vector<planned_hold> holds;
    for (std::size_t i = 0; i < of.steps.size(); ++i) {
        const auto &step = of.steps[i];
        const bool waits = i + 1 == of.steps.size() && of.promote == "manual";
        if (step.weight != 0 && (step.hold_s != 0 || waits)) {
            holds.push_back({"the hold at " + std::to_string(step.weight) + " %", step.weight, step.hold_s});
        }
    }
    if (of.watch_s != 0) {
        holds.push_back({"the watch after the promotion", 100, of.watch_s});
    }
    return holds;
}


double requests_in(const planned_hold &hold, std::uint64_t requests_a_minute)
{
    return static_cast<double>(hold.hold_s) * static_cast<double>(requests_a_minute) / 60 * hold.weight / 100;
}


/// Returns the limit of a test of a share; no value for tests that compare with blue.
std::optional<double> fixed_limit(const gate_settings &gate, gate_test test)
{
    switch (test) {
    case gate_test::error_rate:
        return gate.max_error_rate;
    case gate_test::p99:
        return slow_share;
    case gate_test::error_ratio:
    case gate_test::p99_ratio:
    case gate_test::client_errors:
    case gate_test::abandoned:
        break;
    }
    return std::nullopt;
}

} // namespace


const char *gate_test_name(gate_test test) noexcept
{
    switch (test) {
    case gate_test::error_rate:
        return "max_error_rate";
    case gate_test::p99:
        return "max_p99_ms";
    case gate_test::error_ratio:
        return "max_error_ratio_to_blue";
    case gate_test::p99_ratio:
        return "max_p99_ratio_to_blue";
    case gate_test::client_errors:
        return "client_errors";
    case gate_test::abandoned:
        return "abandoned";
    }
    return "";
}


std::size_t judged_holds(const rollout_settings &of) noexcept
{
    return holds_of(of).size();
}


std::vector<gate_share> divide_false_alarm(const gate_settings &gate, std::size_t holds, unsigned attempt)
{
    const double part = attempt <= 1 ? first_attempt : (1 - first_attempt) * std::exp2(1.0 - attempt);
    auto tests = weighted_tests(gate);
    double weights = 0;
    for (const auto &spent : tests) {
        weights += spent.false_alarm;
    }
    const double whole = gate.false_alarm / static_cast<double>(std::max<std::size_t>(holds, 1)) * part;
    for (auto &spent : tests) {
        spent.false_alarm *= whole / weights;
    }
    return tests;
}


json_ptr gate_plan_report(const rollout_settings &of, std::optional<std::uint64_t> requests_a_minute)
{
    if (!of.gate) {
        return nullptr;
    }
    const auto &gate = *of.gate;
    const auto holds = holds_of(of);
    json_ptr to = json_make_object();
    json_put(to.get(), "min_requests", json_make_number(gate.min_requests));
    for (const auto &[name, limit, most] : gate_limits) {
        if (gate.*limit) {
            json_put(to.get(), name, json_made(json_real(*(gate.*limit))));
        }
    }
    json_put(to.get(), "latency", gate.latency);
    json_put(to.get(), "absolute_unless_blue", json_made(json_boolean(gate.absolute_unless_blue)));
    json_put(to.get(), "false_alarm", json_made(json_real(gate.false_alarm)));
    json_put(to.get(), "holds", json_make_number(holds.size()));
    const auto shares = divide_false_alarm(gate, holds.size());
    json_ptr division = json_make_object();
    for (const auto &[test, false_alarm] : shares) {
        json_put(division.get(), gate_test_name(test), json_made(json_real(std::stod(format_number(false_alarm)))));
    }
    json_put(to.get(), "false_alarm_of_each_hold", std::move(division));
    if (requests_a_minute) {
        json_put(to.get(), "requests_of_the_last_minute", json_make_number(*requests_a_minute));
    }
    return to;
}


std::vector<std::string> gate_warnings(const rollout_settings &of)
{
    std::vector<std::string> warnings;
    if (!of.gate) {
        return warnings;
    }
    const auto &gate = *of.gate;
    const auto holds = holds_of(of);
    if (holds.empty()) {
        warnings.emplace_back("The gate judges nothing: it judges while a step with traffic is held, and none has a "
                              "hold_s (nor is there a watch_s); give the steps a hold_s.");
        return warnings;
    }
    if (gate.max_error_rate && *gate.max_error_rate == 0) {
        warnings.emplace_back("gate.max_error_rate is 0: a single failure of green rolls back, whatever its cause");
    }
    const bool only_all = holds.size() == 1 && holds.front().weight == 100;
    if (only_all && (gate.max_error_ratio_to_blue || gate.max_p99_ratio_to_blue || gate.max_mean_ratio_to_blue)) {
        warnings.emplace_back(
            "gate: there is no hold in which blue has traffic, so the ratios to blue are not judged");
    }
    if (gate.absolute_unless_blue && !gate.max_error_ratio_to_blue && !gate.max_p99_ratio_to_blue) {
        warnings.emplace_back(
            "gate.absolute_unless_blue: without a ratio to blue nothing judges green while blue breaks a limit");
    }
    return warnings;
}


std::vector<std::string> hold_warnings(const rollout_settings &of, std::optional<std::uint64_t> requests_a_minute)
{
    std::vector<std::string> warnings;
    if (!of.gate) {
        return warnings;
    }
    const auto &gate = *of.gate;
    const auto holds = holds_of(of);
    const auto traffic = [&requests_a_minute] {
        return requests_a_minute
                   ? "at the last minute's traffic of " + std::to_string(*requests_a_minute) + " requests"
                   : std::string("at one request a second");
    }();
    for (auto hold : holds) {
        if (!requests_a_minute) {
            hold.hold_s = std::max(hold.hold_s, of.progress_deadline_s);
        }
        const double requests = requests_in(hold, requests_a_minute.value_or(60));
        const auto count = std::to_string(static_cast<std::uint64_t>(requests));
        if (requests_a_minute && requests + 0.5 < static_cast<double>(gate.min_requests)) {
            warnings.push_back(hold.name + " lasts " + std::to_string(hold.hold_s) + " s, in which " + traffic +
                               " green gets about " + count + ": min_requests of " +
                               std::to_string(gate.min_requests) + " extends it");
            continue;
        }
        for (const auto &[test, false_alarm] : divide_false_alarm(gate, holds.size())) {
            const auto limit = fixed_limit(gate, test);
            if (!limit || *limit <= 0) {
                continue;
            }
            const double seen = share_to_be_seen(requests, *limit, false_alarm);
            if (seen > std::min(1.0, blind_factor * *limit)) {
                const std::string what = test == gate_test::p99 ? "a share of slow requests" : "an error share";
                warnings.push_back(hold.name + " is too short for " + gate_test_name(test) + ": " + traffic +
                                   " green gets about " + count + " in it, which can show " +
                                   (seen > 1 ? "no breach at all"
                                             : what + " of " + format_percent(seen) + " or more, the limit is " +
                                                   format_percent(*limit)));
            }
        }
    }
    return warnings;
}

} // namespace rollout
