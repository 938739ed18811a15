#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/rollout/time_limit.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::time_limit;
using rollout::waited_for;

struct limited {
    explicit limited(std::chrono::milliseconds before = 0ms) : limit(time, 10s, before, [this] { ++overs; })
    {
        limit.start();
    }

    fake_clock time;
    unsigned overs = 0;
    time_limit limit;
};

void it_is_over_once_when_its_time_has_passed(void **)
{
    limited task;
    task.time.run_for(9999ms);
    assert_false(task.limit.is_over());
    task.time.run_for(1ms);
    assert_true(task.limit.is_over());
    task.time.run_for(100s);
    assert_int_equal(task.overs, 1);
}

void what_earlier_runs_have_worked_counts(void **)
{
    limited task(7s);
    assert_true(task.limit.elapsed() == 7s);
    task.time.run_for(3s);
    assert_true(task.limit.is_over());
    assert_true(task.limit.elapsed() == 10s);

    limited late(11s); // the limit was shorter then, or is now
    late.time.settle();
    assert_true(late.limit.is_over());
}

void the_time_stands_still_while_somebody_is_waited_for(void **)
{
    for (const auto who : {waited_for::person, waited_for::permit}) {
        limited task;
        task.time.run_for(4s);
        task.limit.wait_for(who);
        assert_true(task.limit.stands());
        task.time.run_for(1000s);
        assert_false(task.limit.is_over());
        assert_true(task.limit.elapsed() == 4s);
        task.limit.end_wait(who);
        task.time.run_for(5999ms);
        assert_false(task.limit.is_over());
        task.time.run_for(1ms);
        assert_true(task.limit.is_over());
    }
}

void the_end_of_another_wait_does_not_let_it_run(void **)
{
    limited task;
    task.limit.wait_for(waited_for::permit);
    task.limit.end_wait(waited_for::person);
    assert_true(task.limit.stands());
    task.limit.wait_for(waited_for::permit); // it does already
    task.time.run_for(1000s);
    assert_true(task.limit.elapsed() == 0s);
    task.limit.end_wait(waited_for::permit);
    assert_false(task.limit.stands());
}

void a_wait_after_its_end_does_not_begin_it_anew(void **)
{
    limited task;
    task.time.run_for(10s);
    task.limit.wait_for(waited_for::person);
    task.limit.end_wait(waited_for::person);
    task.time.run_for(1000s);
    assert_int_equal(task.overs, 1);
}

void once_stopped_it_is_never_over_and_waits_change_nothing(void **)
{
    limited task;
    task.time.run_for(4s);
    task.limit.wait_for(waited_for::person);
    task.time.run_for(1s);
    task.limit.stop();
    task.limit.end_wait(waited_for::person);
    task.time.run_for(1000s);
    assert_int_equal(task.overs, 0);
    assert_true(task.limit.elapsed() == 4s); // what is written still says how long it was worked on
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_is_over_once_when_its_time_has_passed),
        cmocka_unit_test(what_earlier_runs_have_worked_counts),
        cmocka_unit_test(the_time_stands_still_while_somebody_is_waited_for),
        cmocka_unit_test(the_end_of_another_wait_does_not_let_it_run),
        cmocka_unit_test(a_wait_after_its_end_does_not_begin_it_anew),
        cmocka_unit_test(once_stopped_it_is_never_over_and_waits_change_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
