// When routes count as current after a standstill.
#include "module/link/route_freshness.hpp"
#include "tests/unit/cmocka.hpp"

volatile ngx_msec_t ngx_current_msec = 1000;

namespace {

using rollout::route_freshness;

void routes_are_current_as_long_as_nobody_stands_still(void **)
{
    const route_freshness routes;
    assert_false(routes.catches_up());
}

void after_a_standstill_the_routes_of_now_are_awaited(void **)
{
    route_freshness routes;
    ngx_current_msec = 1000;
    routes.begin_to_catch_up(6000);
    assert_true(routes.catches_up());
    assert_false(routes.is_current(7));
    routes.expect(8);
    assert_false(routes.is_current(7));
    assert_true(routes.is_current(8));
    assert_false(routes.catches_up());
}

void a_welcome_before_the_standstill_says_nothing_of_what_came_after_it(void **)
{
    route_freshness routes;
    routes.expect(5);
    routes.begin_to_catch_up(6000);
    assert_false(routes.is_current(5));
}

void routes_count_again_when_rolloutd_is_away(void **)
{
    route_freshness routes;
    routes.begin_to_catch_up(6000);
    routes.trust();
    assert_false(routes.catches_up());
}

void routes_count_again_once_it_has_taken_too_long(void **)
{
    route_freshness routes;
    // The clock goes round.
    ngx_current_msec = static_cast<ngx_msec_t>(-1000);
    routes.begin_to_catch_up(4000);
    assert_false(routes.is_current(7));
    ngx_current_msec = 4000;
    assert_false(routes.is_current(7));
    ngx_current_msec = 4001;
    assert_true(routes.is_current(7));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_current_as_long_as_nobody_stands_still),
        cmocka_unit_test(after_a_standstill_the_routes_of_now_are_awaited),
        cmocka_unit_test(a_welcome_before_the_standstill_says_nothing_of_what_came_after_it),
        cmocka_unit_test(routes_count_again_when_rolloutd_is_away),
        cmocka_unit_test(routes_count_again_once_it_has_taken_too_long),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
