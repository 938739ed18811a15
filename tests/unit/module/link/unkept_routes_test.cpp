// Routes in force, until the state file has them.
#include "module/link/unkept_routes.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

void routes_are_kept_with_the_write_that_holds_them(void **)
{
    rollout::unkept_routes routes;
    routes.add(1, 10);
    routes.add(2, 11);
    routes.add(2, 14);
    routes.add(4, 13);
    assert_false(routes.take(0).has_value());
    assert_int_equal(routes.take(1).value(), 10);
    assert_false(routes.take(1).has_value());
    assert_int_equal(routes.take(3).value(), 14);
    assert_int_equal(routes.take(9).value(), 13);
}

void a_later_write_keeps_what_earlier_ones_had_to(void **)
{
    rollout::unkept_routes routes;
    routes.add(1, 10);
    routes.add(3, 12);
    assert_int_equal(routes.take(3).value(), 12);
    assert_false(routes.take(3).has_value());
}

void what_an_earlier_connection_brought_is_told_to_nobody(void **)
{
    rollout::unkept_routes routes;
    routes.add(1, 10);
    routes.clear();
    assert_false(routes.take(1).has_value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_kept_with_the_write_that_holds_them),
        cmocka_unit_test(a_later_write_keeps_what_earlier_ones_had_to),
        cmocka_unit_test(what_an_earlier_connection_brought_is_told_to_nobody),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
