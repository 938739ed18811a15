// How a rollout's chance of a false alarm is divided, and what a gate is warned of.
#include "tests/unit/cmocka.hpp"
#include "worker/rollout/gate_plan.hpp"

#include <cmath>
#include <cstring>
#include <string>

namespace {

using namespace rollout;


rollout_settings readme_rollout()
{
    rollout_settings made;
    made.steps = {{5, 30}, {25, 60}, {100, 60}};
    made.gate.emplace();
    made.gate->min_requests = 50;
    made.gate->max_error_rate = 0.01;
    made.gate->max_p99_ms = 500;
    made.gate->max_error_ratio_to_blue = 2;
    return made;
}


double sum_of(const std::vector<gate_share> &shares)
{
    double sum = 0;
    for (const auto &one : shares) {
        sum += one.false_alarm;
    }
    return sum;
}


std::string lines_of(const std::vector<std::string> &sentences)
{
    std::string all;
    for (const auto &one : sentences) {
        all += one + '\n';
    }
    return all;
}


void test_all_holds_and_all_their_beginnings_spend_no_more_than_there_is(void **)
{
    auto rollout = readme_rollout();
    rollout.watch_s = 60;
    const auto holds = judged_holds(rollout);
    assert_int_equal(holds, 4);
    double spent = 0;
    for (unsigned attempt = 1; attempt <= 20; ++attempt) {
        spent += static_cast<double>(holds) * sum_of(divide_false_alarm(*rollout.gate, holds, attempt));
    }
    assert_true(spent <= 0.01 * (1 + 1e-9) && spent > 0.0099);
}


void test_what_is_not_held_spends_nothing(void **)
{
    auto rollout = readme_rollout();
    rollout.steps = {{0, 60}, {5, 0}, {25, 60}, {100, 0}};
    assert_int_equal(judged_holds(rollout), 1);
    rollout.promote = "manual"; // the last waits for a person, and is looked at meanwhile
    assert_int_equal(judged_holds(rollout), 2);
}


void test_limits_share_alike_and_what_nobody_asked_for_has_less(void **)
{
    const auto shares = divide_false_alarm(*readme_rollout().gate, 3);
    assert_int_equal(shares.size(), 5);
    double asked = 0;
    for (const auto &[test, false_alarm] : shares) {
        if (test == gate_test::client_errors || test == gate_test::abandoned) {
            assert_true(false_alarm < asked);
        } else {
            assert_true(asked == 0 || std::abs(asked - false_alarm) < 1e-12);
            asked = false_alarm;
        }
    }
}


void test_the_plan_says_the_division(void **)
{
    const auto report = gate_plan_report(readme_rollout(), 6000);
    const json_t *division = json_object_get(report.get(), "false_alarm_of_each_hold");
    assert_true(json_real_value(json_object_get(division, "max_error_rate")) > 0);
    assert_true(json_real_value(json_object_get(division, "client_errors")) > 0);
    assert_int_equal(json_number(report.get(), "holds"), 3);
    assert_int_equal(json_number(report.get(), "requests_of_the_last_minute"), 6000);
    assert_true(json_real_value(json_object_get(report.get(), "false_alarm")) == 0.01);
    assert_null(gate_plan_report(rollout_settings(), {}).get());
}


void test_a_hold_that_sees_too_little_is_warned_of(void **)
{
    const auto rollout = readme_rollout();
    assert_text(lines_of(hold_warnings(rollout, 600000)), "");
    const auto slow = lines_of(hold_warnings(rollout, 60));
    assert_non_null(std::strstr(slow.c_str(),
                                "the hold at 5 % lasts 30 s, in which at the last minute's traffic of 60 "
                                "requests green gets about 1: min_requests of 50 extends it"));
    const auto middling = lines_of(hold_warnings(rollout, 2400));
    assert_non_null(std::strstr(middling.c_str(), "the hold at 5 % is too short for max_error_rate"));
}


void test_what_cannot_work_is_warned_of(void **)
{
    auto rollout = readme_rollout();
    rollout.steps = {{5, 0}, {100, 0}};
    assert_non_null(std::strstr(lines_of(gate_warnings(rollout)).c_str(), "The gate judges nothing"));
    rollout.steps = {{100, 60}};
    assert_non_null(std::strstr(lines_of(gate_warnings(rollout)).c_str(), "no hold in which blue has traffic"));
    rollout.gate->max_error_rate = 0;
    assert_non_null(std::strstr(lines_of(gate_warnings(rollout)).c_str(), "a single failure"));
    rollout = readme_rollout();
    rollout.gate->max_error_rate = 1e-6;
    rollout.progress_deadline_s = 60;
    assert_non_null(std::strstr(lines_of(hold_warnings(rollout, {})).c_str(), "too short for max_error_rate"));
    assert_text(lines_of(gate_warnings(rollout_settings())), "");
    assert_text(lines_of(hold_warnings(rollout_settings(), {})), "");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_all_holds_and_all_their_beginnings_spend_no_more_than_there_is),
        cmocka_unit_test(test_what_is_not_held_spends_nothing),
        cmocka_unit_test(test_limits_share_alike_and_what_nobody_asked_for_has_less),
        cmocka_unit_test(test_the_plan_says_the_division),
        cmocka_unit_test(test_a_hold_that_sees_too_little_is_warned_of),
        cmocka_unit_test(test_what_cannot_work_is_warned_of),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
