// Evidence that a share is above its limit, and bounds of a share.
#include "tests/unit/cmocka.hpp"
#include "worker/rollout/evidence.hpp"

#include <cmath>

namespace {

using namespace rollout;

constexpr double limit = 0.01;


void test_nothing_counted_says_nothing(void **)
{
    evidence of(60);
    assert_true(of.value() == 1);
    of.add_share(limit, {0, 0});
    of.add_ratio(2, {0, 0}, {100, 1});
    of.add_ratio(2, {100, 1}, {0, 0});
    assert_true(of.value() == 1);
}


void test_three_failures_and_nothing_else_are_certain_one_is_not(void **)
{
    evidence of(60);
    of.add_share(limit, {1, 1});
    assert_true(of.value() > 1 && of.value() < 100);
    of.add_share(limit, {2, 2});
    assert_true(of.value() > 10000);
    assert_int_equal(of.since_it_began().requests, 3);
    assert_int_equal(of.since_it_began().failures, 3);
}


void test_requests_that_were_good_before_do_not_have_to_be_paid_back(void **)
{
    evidence of(1200);
    for (int look = 0; look < 600; ++look) {
        of.add_share(limit, {100, 0});
    }
    assert_true(of.value() < 1);
    of.add_share(limit, {20, 20});
    assert_true(of.value() > 1e6);
    assert_int_equal(of.since_it_began().requests, 20);
}


void test_at_the_limit_evidence_stays_where_it_is(void **)
{
    evidence of(1000);
    for (int look = 0; look < 1000; ++look) {
        of.add_share(limit, {100, 1});
        assert_true(of.value() < 2);
    }
}


void test_more_failures_are_more_evidence(void **)
{
    double before = -1;
    for (std::uint64_t failures = 0; failures <= 200; ++failures) {
        evidence of(60);
        of.add_share(limit, {100, 1});
        of.add_share(limit, {200, failures});
        assert_true(of.value() >= before && std::isfinite(of.value()));
        before = of.value();
    }
}


void test_a_ratio_is_of_the_traffic_that_each_has(void **)
{
    // Green has 5 % of the traffic, and twice blue's failures with it.
    evidence within(60);
    evidence above(60);
    for (int look = 0; look < 60; ++look) {
        within.add_ratio(2, {50, 2}, {950, 19});
        above.add_ratio(2, {50, 10}, {950, 19});
    }
    assert_true(within.value() < 2);
    assert_true(above.value() > 1e6);
}


void test_the_first_failure_beside_a_blue_without_any_weighs_what_it_is_worth(void **)
{
    evidence of(60);
    of.add_ratio(2, {50, 1}, {950, 0});
    assert_true(of.value() > 1 && of.value() < 20);
}


void test_numbers_past_any_bound_stay_numbers(void **)
{
    evidence share(1);
    evidence ratio(1);
    const std::uint64_t many = std::uint64_t{1} << 62;
    for (int look = 0; look < 5; ++look) {
        share.add_share(1e-9, {many, many});
        ratio.add_ratio(1e-9, {many, many}, {many, 0});
        assert_true(std::isfinite(share.value()) && std::isfinite(ratio.value()));
        share.add_share(0.999999, {many, 0});
        ratio.add_ratio(1e9, {1, 0}, {many, many});
        assert_true(std::isfinite(share.value()) && std::isfinite(ratio.value()));
        assert_true(share.value() >= 0 && ratio.value() >= 0);
    }
}


void test_bounds_hold_the_share_between_them_and_come_closer(void **)
{
    double width = 1;
    for (std::uint64_t requests = 100; requests <= 1000000; requests *= 10) {
        const tried counted = {requests, requests / 50};
        const double least = share_at_least(counted, 0.01);
        const double most = share_at_most(counted, 0.01);
        assert_true(least < 0.02 && most > 0.02 && most - least < width);
        width = most - least;
    }
    assert_true(share_at_least({1000, 0}, 0.01) == 0);
    assert_true(share_at_most({1000, 0}, 0.01) < 0.02);
    assert_true(share_at_most({0, 0}, 0.01) == 1 && share_at_most({5, 5}, 0.01) == 1);
    assert_true(share_at_least({5, 5}, 0.01) > 0.1);
}


void test_what_so_many_requests_can_show(void **)
{
    assert_true(std::isinf(requests_to_see(0.01, 0.01, 0.001)));
    assert_true(std::abs(requests_to_see(1, 0.01, 1e-4) - 2) < 1e-9);
    assert_true(share_to_be_seen(1, 0.01, 1e-6) > 1);
    const double few = share_to_be_seen(100, 0.01, 0.001);
    const double many = share_to_be_seen(10000, 0.01, 0.001);
    assert_true(few > many && many > 0.01 && few < 0.2);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_counted_says_nothing),
        cmocka_unit_test(test_three_failures_and_nothing_else_are_certain_one_is_not),
        cmocka_unit_test(test_requests_that_were_good_before_do_not_have_to_be_paid_back),
        cmocka_unit_test(test_at_the_limit_evidence_stays_where_it_is),
        cmocka_unit_test(test_more_failures_are_more_evidence),
        cmocka_unit_test(test_a_ratio_is_of_the_traffic_that_each_has),
        cmocka_unit_test(test_the_first_failure_beside_a_blue_without_any_weighs_what_it_is_worth),
        cmocka_unit_test(test_numbers_past_any_bound_stay_numbers),
        cmocka_unit_test(test_bounds_hold_the_share_between_them_and_come_closer),
        cmocka_unit_test(test_what_so_many_requests_can_show),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
