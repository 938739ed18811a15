// Failed requests by server, until they are reported.
#include "module/link/server_failures.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using rollout::server_failures;

void failures_are_added_by_model_revision_and_server(void **)
{
    server_failures failures;
    failures.add("m", 2, "a:1");
    failures.add("m", 2, "b:1");
    failures.add("m", 3, "a:1");
    failures.add("n", 2, "a:1");
    failures.add("m", 2, "a:1");
    const auto taken = failures.take();
    assert_int_equal(taken.size(), 4);
    assert_text(taken[0].model_id, "m");
    assert_int_equal(taken[0].revision, 2);
    assert_text(taken[0].peer, "a:1");
    assert_int_equal(taken[0].failures, 2);
    assert_int_equal(taken[1].failures, 1);
    assert_int_equal(failures.take().size(), 0);
}

void what_goes_beyond_the_bound_is_left_out(void **)
{
    server_failures failures;
    for (std::size_t i = 0; i < 2 * server_failures::most; ++i) {
        failures.add("m", i, "a:1");
    }
    failures.add("m", 0, "a:1");
    const auto taken = failures.take();
    assert_int_equal(taken.size(), server_failures::most);
    assert_int_equal(taken.front().failures, 2);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_added_by_model_revision_and_server),
        cmocka_unit_test(what_goes_beyond_the_bound_is_left_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
