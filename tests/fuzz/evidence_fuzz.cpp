// The gate over any stream of counters: its evidence is a number that is finite and not negative, more failures are never less
// evidence, a verdict of bad stays, and whatever is said can be written into a document. Input: bytes that choose the limits,
// then a few for each look.
#include "tests/fuzz/fuzzing.hpp"

#include "worker/rollout/gate.hpp"

#include <cmath>

using namespace rollout;

namespace {

/// A number of any size: a byte, shifted by another.
std::uint64_t any_number(pieces &input)
{
    const std::uint64_t digits = input.byte();
    return digits << (input.byte() % 56);
}


gate_settings any_limits(pieces &input)
{
    gate_settings limits;
    limits.min_requests = input.byte();
    limits.false_alarm = 1e-6 + input.byte() / 512.0;
    const auto given = input.byte();
    if (given & 1) {
        limits.max_error_rate = input.byte() / 255.0;
    }
    if (given & 2) {
        limits.max_p99_ms = 0.5 + static_cast<double>(any_number(input));
    }
    if (given & 4) {
        limits.max_error_ratio_to_blue = (1 + input.byte()) / 32.0;
    }
    if (given & 8) {
        limits.max_p99_ratio_to_blue = (1 + input.byte()) / 32.0;
    }
    if (given & 16) {
        limits.max_mean_ms = 1 + input.byte();
    }
    if (given & 32) {
        limits.max_mean_ratio_to_blue = (1 + input.byte()) / 32.0;
    }
    limits.absolute_unless_blue = (given & 64) != 0;
    limits.latency = (given & 128) != 0 ? "first_byte" : "total";
    return limits;
}


/// As a gateway may say it, whose numbers need not fit each other.
traffic_counters any_counters(pieces &input)
{
    traffic_counters made;
    made.requests = any_number(input);
    made.failures = any_number(input);
    made.client_errors = any_number(input);
    made.left_out = input.byte();
    made.sum_ms = any_number(input);
    made.buckets[input.byte() % latency_buckets] = any_number(input);
    made.first_byte[input.byte() % latency_buckets] = any_number(input);
    made.abandoned[input.byte() % latency_buckets] = any_number(input);
    made.waiting[input.byte() % waiting_ages] = any_number(input);
    return made;
}


void read_report(const gate &of, const gate_verdict &verdict)
{
    const auto report = of.report(verdict, 50);
    always(is_whole_json(json_compact(report.get())), "a report is JSON");
    const char *name;
    json_t *test;
    json_object_foreach(json_object_get(report.get(), "evidence"), name, test)
    {
        const double value = json_real_value(json_object_get(test, "evidence"));
        always(std::isfinite(value) && value >= 0, "evidence is a finite number that is not negative");
    }
    always(verdict.is != gate_verdict::kind::bad || !verdict.reason.empty(), "a bad verdict has a reason");
}


/// Of two streams that differ in one failure of one look, that with more has no less evidence.
void compare(pieces input)
{
    const std::uint64_t planned_looks = input.byte();
    evidence fewer(planned_looks);
    evidence more(planned_looks);
    const double limit = (1 + input.byte()) / 258.0;
    const std::uint64_t at = input.byte() % 8;
    for (std::uint64_t look = 0; look < 8 && !input.done(); ++look) {
        const std::uint64_t requests = any_number(input);
        const std::uint64_t failures = std::min(requests, any_number(input));
        fewer.add_share(limit, {requests, failures});
        more.add_share(limit, {requests, std::min(requests, failures + (look == at ? 1 : 0))});
        always(more.value() >= fewer.value() * (1 - 1e-9), "more failures are no less evidence");
    }
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    compare(input);
    const auto limits = any_limits(input);
    std::optional<traffic_counters> baseline;
    if (input.byte() % 2 == 1) {
        baseline = any_counters(input);
    }
    gate of(limits, divide_false_alarm(limits, 1 + input.byte() % 8U, 1 + input.byte() % 4U), input.byte(), baseline);
    bool was_decided = false;
    for (int look = 0; look < 64 && !input.done(); ++look) {
        of.observe({any_counters(input), any_counters(input)});
        const auto verdict = of.verdict();
        read_report(of, verdict);
        read_report(of, of.verdict_at_end());
        always(!was_decided || verdict.is == gate_verdict::kind::bad || limits.absolute_unless_blue,
               "a bad verdict stays one");
        was_decided = verdict.is == gate_verdict::kind::bad;
    }
    return 0;
}
