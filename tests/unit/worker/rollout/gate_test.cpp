// The gate: which counts let green have more traffic, and which send it back.
#include "tests/unit/cmocka.hpp"
#include "worker/rollout/gate.hpp"

#include <cstring>
#include <string>

namespace {

using namespace rollout;
using kind = gate_verdict::kind;


traffic_counters counted(std::uint64_t requests, std::uint64_t failures = 0, std::uint64_t client_errors = 0,
                         std::uint64_t ms = 10)
{
    traffic_counters made;
    made.requests = requests;
    made.failures = failures;
    made.client_errors = client_errors;
    made.sum_ms = requests * ms;
    made.buckets[latency_bucket(ms)] = requests;
    made.first_byte[latency_bucket(1)] = requests;
    return made;
}


/// So many more took that long.
traffic_counters and_slow(traffic_counters made, std::uint64_t requests, std::uint64_t ms)
{
    made.requests += requests;
    made.sum_ms += requests * ms;
    made.buckets[latency_bucket(ms)] += requests;
    made.first_byte[latency_bucket(1)] += requests;
    return made;
}


/// So many clients gave up after that long.
traffic_counters and_abandoned(traffic_counters made, std::uint64_t requests, std::uint64_t ms)
{
    made.abandoned[latency_bucket(ms)] += requests;
    return made;
}


gate_settings at_least(std::uint64_t requests)
{
    gate_settings made;
    made.min_requests = requests;
    return made;
}


gate_settings limited(std::uint64_t requests, std::pair<std::optional<double> gate_settings::*, double> limit)
{
    gate_settings made = at_least(requests);
    made.*limit.first = limit.second;
    return made;
}


/// As one hold of one, with nothing of blue's from before.
gate made_gate(const gate_settings &limits, std::optional<traffic_counters> baseline = std::nullopt)
{
    return {limits, divide_false_alarm(limits, 1), 60, std::move(baseline)};
}


struct judged {
    const char *what;
    gate_settings limits;
    traffic_counters green;
    traffic_counters blue;
    kind expected;
    const char *reason;
};


void test_each_limit_judges_what_it_says(void **)
{
    const auto rate = [](double most) { return std::pair{&gate_settings::max_error_rate, most}; };
    const auto p99 = [](double most) { return std::pair{&gate_settings::max_p99_ms, most}; };
    const auto mean = [](double most) { return std::pair{&gate_settings::max_mean_ms, most}; };
    const auto error_ratio = [](double most) { return std::pair{&gate_settings::max_error_ratio_to_blue, most}; };
    const auto mean_ratio = [](double most) { return std::pair{&gate_settings::max_mean_ratio_to_blue, most}; };

    const judged table[] = {
        {"no request", at_least(1), counted(0), counted(0), kind::undecided, "0 of the 1 requests"},
        {"no request where none is needed", at_least(0), counted(0), counted(0), kind::undecided, "0 of the 0"},
        {"too few", at_least(50), counted(49), counted(500), kind::undecided, "49 of the 50"},
        {"enough", at_least(50), counted(50), counted(500), kind::good, "50 requests, 0 failed"},

        {"errors at the limit", limited(50, rate(0.02)), counted(500, 10), counted(50), kind::good,
         "10 failed (2 %)"},
        {"a little above it, by chance", limited(50, rate(0.02)), counted(50, 2), counted(50), kind::good, ""},
        {"errors over it", limited(50, rate(0.02)), counted(500, 40), counted(50), kind::bad, "the limit is 2 %"},
        {"over it, whatever else was good", limited(50, rate(0.02)), counted(500, 40), counted(50), kind::bad,
         "green's error share is at least 4."},
        {"too few, but certain", limited(50, rate(0.02)), counted(4, 4), counted(50), kind::bad, "4 of green's 4"},
        {"too few, and it may still be", limited(50, rate(0.02)), counted(4, 1), counted(50), kind::undecided, ""},
        {"no error is allowed", limited(50, rate(0)), counted(1, 1), counted(50), kind::bad, "max_error_rate is 0 %"},
        {"all may fail", limited(50, rate(1)), counted(50, 50), counted(50), kind::good, ""},

        {"4xx like blue's", limited(50, rate(0.02)), counted(100, 0, 30), counted(1000, 0, 300), kind::good, ""},
        {"4xx a little above", limited(50, rate(0.02)), counted(100, 0, 70), counted(1000, 0, 300), kind::good, ""},
        {"4xx far above", limited(50, rate(0.02)), counted(300, 0, 270), counted(3000, 0, 900), kind::bad, "4xx"},
        {"4xx without a blue", limited(50, rate(0.02)), counted(100, 0, 50), counted(0), kind::good, ""},
        {"most 4xx without a blue", limited(50, rate(0.02)), counted(100, 0, 90), counted(0), kind::bad, "4xx"},

        {"p99 below", limited(50, p99(500)), counted(500, 0, 0, 400), counted(0), kind::good,
         "take longer than 500 ms"},
        {"p99 in the limit's own bucket", limited(50, p99(500)), counted(500, 0, 0, 505), counted(0), kind::good, ""},
        {"p99 above", limited(50, p99(500)), counted(50, 0, 0, 600), counted(0), kind::bad, "max_p99_ms is 500"},
        {"p99 above, too few, but certain", limited(50, p99(500)), counted(9, 0, 0, 600), counted(0), kind::bad, ""},
        {"one is slow", limited(50, p99(500)), and_slow(counted(99), 1, 60000), counted(0), kind::good, ""},
        {"mean above", limited(50, mean(500)), counted(50, 0, 0, 600), counted(0), kind::bad, "mean is 600 ms"},
        {"mean above, too few", limited(50, mean(500)), counted(49, 0, 0, 600), counted(0), kind::undecided, ""},

        {"errors like blue's", limited(50, error_ratio(2)), counted(500, 20), counted(500, 10), kind::good, ""},
        {"errors above blue's", limited(50, error_ratio(2)), counted(500, 80), counted(500, 10), kind::bad,
         "10 of blue's 500 requests"},
        {"a blue without failures", limited(50, error_ratio(2)), counted(50, 2), counted(50), kind::good, ""},
        {"a blue without failures, and many", limited(50, error_ratio(2)), counted(500, 25), counted(500), kind::bad,
         "as often as blue"},
        {"nothing to compare with", limited(50, error_ratio(2)), counted(50, 50), counted(0), kind::good, ""},
        {"mean above blue's", limited(50, mean_ratio(1.5)), counted(50, 0, 0, 200), counted(50, 0, 0, 100), kind::bad,
         "max_mean_ratio_to_blue is 1.5"},

        {"clients that give up in time", limited(50, p99(500)), and_abandoned(counted(100), 50, 100), counted(0),
         kind::good, ""},
        {"clients that give up late", limited(50, p99(500)), and_abandoned(counted(100), 50, 500), counted(0),
         kind::bad, "take longer than 500 ms"},
        {"clients that give up, no limit of latency", limited(50, rate(0.02)), and_abandoned(counted(100), 100, 500),
         counted(200), kind::bad, "give up on green"},
        {"clients that give up on both", limited(50, rate(0.02)), and_abandoned(counted(100), 100, 500),
         and_abandoned(counted(100), 100, 500), kind::good, ""},
    };
    for (const auto &one : table) {
        gate of = made_gate(one.limits);
        of.observe({{}, one.blue}); // of which p99 and 4xx need to know before green's
        of.observe({one.green, {}});
        const auto verdict = of.verdict_at_end();
        // What needs both over the same time.
        gate same_time = made_gate(one.limits);
        same_time.observe({one.green, one.blue});
        const auto other = same_time.verdict_at_end();
        const bool fits = (verdict.is == one.expected && verdict.reason.find(one.reason) != std::string::npos) ||
                          (other.is == one.expected && other.reason.find(one.reason) != std::string::npos);
        if (!fits || (one.expected != kind::bad && (verdict.is == kind::bad || other.is == kind::bad))) {
            fail_msg("%s: \"%s\"; at the same time: \"%s\"", one.what, verdict.reason.c_str(), other.reason.c_str());
        }
    }
}


void test_requests_that_both_refuse_are_not_held_against_green(void **)
{
    gate all = made_gate(limited(50, {&gate_settings::max_error_rate, 0.01}));
    for (int i = 0; i < 100; ++i) {
        all.observe({counted(43, 0, 43), counted(48, 0, 48)});
        assert_int_equal(all.verdict_at_end().is, i == 0 ? kind::undecided : kind::good);
    }
    gate nearly_all = made_gate(limited(50, {&gate_settings::max_error_rate, 0.01}));
    for (int i = 0; i < 100; ++i) {
        nearly_all.observe({counted(100, 0, 98), counted(100, 0, 97)});
        assert_int_equal(nearly_all.verdict_at_end().is, kind::good);
    }
    gate many = made_gate(limited(50, {&gate_settings::max_error_rate, 0.01}));
    for (int i = 0; i < 100; ++i) {
        many.observe({counted(100, 0, 100), counted(100, 0, 70)});
    }
    assert_int_equal(many.verdict().is, kind::bad);
}


void test_a_quantile_is_compared_with_what_blues_is_at_most(void **)
{
    gate of = made_gate(limited(50, {&gate_settings::max_p99_ratio_to_blue, 1.5}));
    of.observe({{}, counted(20000, 0, 0, 100)});
    of.observe({counted(500, 0, 0, 140), counted(1000, 0, 0, 100)});
    assert_int_equal(of.verdict().is, kind::good);
    of.observe({counted(100, 0, 0, 200), counted(1000, 0, 0, 100)});
    const auto verdict = of.verdict();
    assert_int_equal(verdict.is, kind::bad);
    assert_non_null(std::strstr(verdict.reason.c_str(), "max_p99_ratio_to_blue is 1.5"));
}


void test_few_requests_of_blue_are_no_quantile(void **)
{
    gate of = made_gate(limited(50, {&gate_settings::max_p99_ratio_to_blue, 1.5}));
    of.observe({{}, counted(100, 0, 0, 100)});
    of.observe({counted(500, 0, 0, 5000), {}});
    assert_int_equal(of.verdict().is, kind::good);
}


void test_a_breach_that_is_seen_stays_one(void **)
{
    gate of = made_gate(limited(50, {&gate_settings::max_error_rate, 0.02}));
    of.observe({counted(5, 5), {}});
    of.observe({counted(100000), {}});
    assert_int_equal(of.verdict().is, kind::bad);
}


void test_what_waits_for_too_long_is_slow_already(void **)
{
    gate of = made_gate(limited(10, {&gate_settings::max_p99_ms, 500}));
    traffic_counters green = counted(100);
    green.waiting[9] = 2; // 512 ms and more
    of.observe({green, {}});
    assert_int_equal(of.verdict().is, kind::undecided);
    assert_true(of.verdict().hangs);
    green = counted(10);
    green.waiting[9] = 20;
    of.observe({green, {}});
    assert_int_equal(of.verdict().is, kind::bad);
}


void test_what_was_waiting_counts_once_when_it_ends(void **)
{
    gate of = made_gate(limited(10, {&gate_settings::max_p99_ms, 500}));
    traffic_counters green = counted(1000);
    green.waiting[9] = 8;
    of.observe({green, {}});
    const auto evidence_of = [&of] {
        const auto report = of.report(of.verdict(), 5);
        const json_t *p99 = json_object_get(json_object_get(report.get(), "evidence"), "max_p99_ms");
        return json_real_value(json_object_get(p99, "evidence"));
    };
    const double before = evidence_of();
    of.observe({and_slow(counted(0), 8, 900), {}}); // the same requests
    assert_true(evidence_of() <= before * 1.2);
    assert_int_equal(of.verdict().is, kind::good);
}


void test_without_a_limit_of_latency_what_hangs_holds_the_hold(void **)
{
    gate of = made_gate(limited(10, {&gate_settings::max_error_rate, 0.01}));
    traffic_counters green = counted(20);
    green.waiting[10] = 20; // more than a second, and all that were answered took 10 ms
    of.observe({green, counted(100)});
    assert_int_equal(of.verdict().is, kind::undecided);
    of.observe({counted(1), counted(10)});
    assert_int_equal(of.verdict().is, kind::good);
}


void test_a_stream_is_judged_by_its_first_byte_if_the_gate_says_so(void **)
{
    gate_settings limits = limited(10, {&gate_settings::max_p99_ms, 500});
    limits.latency = "first_byte";
    gate of = made_gate(limits);
    of.observe({counted(100, 0, 0, 9000), {}});
    assert_int_equal(of.verdict().is, kind::good);
}


void test_without_traffic_of_its_own_blue_is_what_it_was(void **)
{
    const auto ratio = limited(10, {&gate_settings::max_error_ratio_to_blue, 2});
    gate bad = made_gate(ratio, counted(10000, 20));
    bad.observe({counted(500, 25), {}});
    assert_int_equal(bad.verdict().is, kind::bad);
    assert_non_null(std::strstr(bad.verdict().reason.c_str(), "the last hold that it had traffic in"));
    gate good = made_gate(ratio, counted(10000, 20));
    good.observe({counted(5000, 10), {}});
    assert_int_equal(good.verdict().is, kind::good);
    gate uncertain = made_gate(ratio, counted(50, 0)); // from so few nobody knows blue's share
    uncertain.observe({counted(500, 25), {}});
    assert_int_equal(uncertain.verdict().is, kind::good);
}


void test_the_baseline_of_a_report_is_read_back(void **)
{
    gate of = made_gate(limited(10, {&gate_settings::max_p99_ratio_to_blue, 2}));
    of.observe({counted(10), counted(900, 3, 2, 70)});
    const auto baseline = baseline_of_report(of.report(of.verdict(), 5).get());
    assert_true(baseline.has_value());
    assert_int_equal(baseline->requests, 900);
    assert_int_equal(baseline->failures, 3);
    assert_true(baseline->quantile_ms(0.99) == counted(900, 3, 2, 70).quantile_ms(0.99));
    assert_false(baseline_of_report(made_gate(at_least(1)).report({}, 100).get()).has_value());
}


void test_a_limit_that_blue_breaks_too_is_said_or_left_to_the_ratio(void **)
{
    gate_settings limits = limited(10, {&gate_settings::max_error_rate, 0.01});
    limits.max_error_ratio_to_blue = 2;
    gate both = made_gate(limits);
    both.observe({counted(500, 25), counted(500, 25)});
    assert_int_equal(both.verdict().is, kind::bad);
    assert_non_null(std::strstr(both.verdict().reason.c_str(), "blue breaks the limit as well: 25 of blue's 500"));
    limits.absolute_unless_blue = true;
    gate unless = made_gate(limits);
    unless.observe({counted(500, 25), counted(500, 25)});
    assert_int_equal(unless.verdict().is, kind::good);
    unless.observe({counted(500, 250), counted(500, 25)});
    assert_int_equal(unless.verdict().is, kind::bad);
}


void test_the_report_has_the_counts_the_limits_and_the_evidence(void **)
{
    gate_settings limits = limited(20, {&gate_settings::max_error_rate, 0.01});
    gate of = made_gate(limits);
    of.observe({counted(100, 15, 0, 12), counted(300)});
    const auto report = of.report(of.verdict(), 25);
    assert_int_equal(json_number(report.get(), "weight"), 25);
    assert_int_equal(json_number(report.get(), "lost"), 15);
    assert_int_equal(json_number(of.report(of.verdict(), 25, 4).get(), "lost"), 19);
    assert_string_equal(json_text(report.get(), "verdict").data(), "bad");
    const json_t *green = json_object_get(report.get(), "green");
    assert_int_equal(json_number(green, "requests"), 100);
    assert_int_equal(json_number(green, "failures"), 15);
    assert_true(json_real_value(json_object_get(green, "error_rate")) == 0.15);
    assert_true(json_real_value(json_object_get(green, "p99_ms")) == 12);
    const json_t *given = json_object_get(report.get(), "limits");
    assert_int_equal(json_number(given, "min_requests"), 20);
    assert_true(json_real_value(json_object_get(given, "max_error_rate")) == 0.01);
    assert_null(json_object_get(given, "max_p99_ms"));
    const json_t *rate = json_object_get(json_object_get(report.get(), "evidence"), "max_error_rate");
    assert_true(json_is_true(json_object_get(rate, "decided")));
    assert_true(json_real_value(json_object_get(rate, "evidence")) >=
                json_real_value(json_object_get(rate, "decides_at")));
    assert_non_null(
        std::strstr(json_text(report.get(), "reason").data(), "chance of this with a good green: below 1 in "));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_each_limit_judges_what_it_says),
        cmocka_unit_test(test_a_quantile_is_compared_with_what_blues_is_at_most),
        cmocka_unit_test(test_few_requests_of_blue_are_no_quantile),
        cmocka_unit_test(test_a_breach_that_is_seen_stays_one),
        cmocka_unit_test(test_what_waits_for_too_long_is_slow_already),
        cmocka_unit_test(test_what_was_waiting_counts_once_when_it_ends),
        cmocka_unit_test(test_without_a_limit_of_latency_what_hangs_holds_the_hold),
        cmocka_unit_test(test_requests_that_both_refuse_are_not_held_against_green),
        cmocka_unit_test(test_a_stream_is_judged_by_its_first_byte_if_the_gate_says_so),
        cmocka_unit_test(test_without_traffic_of_its_own_blue_is_what_it_was),
        cmocka_unit_test(test_the_baseline_of_a_report_is_read_back),
        cmocka_unit_test(test_a_limit_that_blue_breaks_too_is_said_or_left_to_the_ratio),
        cmocka_unit_test(test_the_report_has_the_counts_the_limits_and_the_evidence),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
