// The gate: which counts let green have more traffic, and which send it back.
#include "worker/rollout/gate.hpp"
#include "tests/unit/cmocka.hpp"

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
    return made;
}


struct judged {
    const char *what;
    gate_settings limits;
    traffic_counters green;
    traffic_counters blue;
    kind expected;
    const char *reason;
};


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


void test_each_limit_judges_what_it_says(void **)
{
    const auto rate = [](double most) { return std::pair{&gate_settings::max_error_rate, most}; };
    const auto p99 = [](double most) { return std::pair{&gate_settings::max_p99_ms, most}; };
    const auto mean = [](double most) { return std::pair{&gate_settings::max_mean_ms, most}; };
    const auto error_ratio = [](double most) { return std::pair{&gate_settings::max_error_ratio_to_blue, most}; };
    const auto p99_ratio = [](double most) { return std::pair{&gate_settings::max_p99_ratio_to_blue, most}; };
    const auto mean_ratio = [](double most) { return std::pair{&gate_settings::max_mean_ratio_to_blue, most}; };

    const judged table[] = {
        {"no request", at_least(1), counted(0), counted(0), kind::undecided, "0 of the 1 requests"},
        {"no request where none is needed", at_least(0), counted(0), counted(0), kind::undecided, "0 of the 0"},
        {"too few", at_least(50), counted(49), counted(500), kind::undecided, "49 of the 50"},
        {"enough", at_least(50), counted(50), counted(500), kind::good, "50 requests, 0 failed"},

        {"errors at the limit", limited(50, rate(0.02)), counted(50, 1), counted(50), kind::good, "1 failed (2 %)"},
        {"errors over it", limited(50, rate(0.02)), counted(50, 2), counted(50), kind::bad, "max_error_rate is 2 %"},
        {"too few, but certain", limited(50, rate(0.02)), counted(4, 2), counted(50), kind::bad, "2 of green's 4"},
        {"too few, and it may still be", limited(50, rate(0.02)), counted(4, 1), counted(50), kind::undecided, ""},
        {"no error is allowed", limited(50, rate(0)), counted(1, 1), counted(50), kind::bad, "max_error_rate is 0 %"},

        {"4xx like blue's", limited(50, rate(0.02)), counted(100, 0, 30), counted(100, 0, 30), kind::good, ""},
        {"4xx a little above", limited(50, rate(0.02)), counted(100, 0, 70), counted(100, 0, 30), kind::good, ""},
        {"4xx far above", limited(50, rate(0.02)), counted(100, 0, 71), counted(100, 0, 30), kind::bad, "4xx"},
        {"4xx without a blue", limited(50, rate(0.02)), counted(100, 0, 50), counted(0), kind::good, ""},
        {"most 4xx without a blue", limited(50, rate(0.02)), counted(100, 0, 51), counted(0), kind::bad, "4xx"},

        {"p99 below", limited(50, p99(500)), counted(50, 0, 0, 400), counted(0), kind::good, ""},
        {"p99 above", limited(50, p99(500)), counted(50, 0, 0, 600), counted(0), kind::bad, "max_p99_ms is 500"},
        {"p99 above, too few", limited(50, p99(500)), counted(49, 0, 0, 600), counted(0), kind::undecided, ""},
        {"mean above", limited(50, mean(500)), counted(50, 0, 0, 600), counted(0), kind::bad, "mean is 600 ms"},

        {"errors like blue's", limited(50, error_ratio(2)), counted(50, 4), counted(50, 2), kind::good, ""},
        {"errors above blue's", limited(50, error_ratio(2)), counted(50, 5), counted(50, 2), kind::bad, "blue's 4 %"},
        {"a blue without failures", limited(50, error_ratio(2)), counted(50, 2), counted(50), kind::good, ""},
        {"nothing to compare with", limited(50, error_ratio(2)), counted(50, 50), counted(49), kind::good, ""},
        {"p99 like blue's", limited(50, p99_ratio(1.5)), counted(50, 0, 0, 140), counted(50, 0, 0, 100), kind::good,
         ""},
        {"p99 above blue's", limited(50, p99_ratio(1.5)), counted(50, 0, 0, 200), counted(50, 0, 0, 100), kind::bad,
         "max_p99_ratio_to_blue is 1.5"},
        {"mean above blue's", limited(50, mean_ratio(1.5)), counted(50, 0, 0, 200), counted(50, 0, 0, 100), kind::bad,
         "max_mean_ratio_to_blue is 1.5"},
    };
    for (const auto &one : table) {
        const auto verdict = judge(one.limits, {one.green, one.blue});
        if (verdict.is != one.expected || verdict.reason.find(one.reason) == std::string::npos) {
            fail_msg("%s: \"%s\"", one.what, verdict.reason.c_str());
        }
    }
}


void test_the_report_has_the_counts_and_the_limits(void **)
{
    gate_settings limits = at_least(20);
    limits.max_error_rate = 0.01;
    const gate_window window = {counted(100, 5, 0, 12), counted(300)};
    const auto report = gate_report(limits, window, judge(limits, window), 25);
    assert_int_equal(json_number(report.get(), "weight"), 25);
    assert_string_equal(json_text(report.get(), "verdict").data(), "bad");
    const json_t *green = json_object_get(report.get(), "green");
    assert_int_equal(json_number(green, "requests"), 100);
    assert_int_equal(json_number(green, "failures"), 5);
    assert_true(json_real_value(json_object_get(green, "error_rate")) == 0.05);
    assert_true(json_real_value(json_object_get(green, "p99_ms")) == 12);
    const json_t *given = json_object_get(report.get(), "limits");
    assert_int_equal(json_number(given, "min_requests"), 20);
    assert_true(json_real_value(json_object_get(given, "max_error_rate")) == 0.01);
    assert_null(json_object_get(given, "max_p99_ms"));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_each_limit_judges_what_it_says),
        cmocka_unit_test(test_the_report_has_the_counts_and_the_limits),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
