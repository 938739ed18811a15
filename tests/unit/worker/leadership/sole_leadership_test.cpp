#include "worker/leadership/sole_leadership.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"

namespace {

using namespace rollout;


void it_leads_from_the_start_to_the_end(void **)
{
    fake_clock time;
    sole_leadership own(time, "a");
    int elected = 0;
    own.on_elected = [&](leader_token token) { elected += token == *own.token() ? 1 : 100; };
    own.on_deposed = [&](const std::string &) { fail_msg("nobody deposes it"); };
    assert_false(own.token().has_value());
    own.start();
    assert_int_equal(elected, 0); // never from inside
    time.settle();
    assert_int_equal(elected, 1);
    assert_text(own.leader()->host, "a");
    own.stand(false);
    time.settle();
    assert_true(own.token().has_value());
    assert_text(own.trouble(), "");

    bool is_done = false;
    own.resign([&] { is_done = true; });
    assert_false(is_done);
    assert_false(own.token().has_value());
    time.settle();
    assert_true(is_done);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_leads_from_the_start_to_the_end),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
