// What a command waits for, and with which status it ends.
#include "ctl/commands/until_condition.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::task_status;
using rollout::ctl::task_document;
using rollout::ctl::until_condition;

int result_of(const char *condition, const task_document &task)
{
    const auto result = until_condition::read(condition).value().result_of(task);
    return result ? static_cast<int>(*result) : -1;
}

task_document task_in(task_status status, unsigned weight = 0, const char *waits_for = "")
{
    task_document task;
    task.status = status;
    task.weight = weight;
    task.waits_for = waits_for;
    return task;
}

void a_task_that_is_over_ends_every_wait(void **)
{
    for (const char *condition : {"final", "waiting", "weight=25"}) {
        assert_int_equal(result_of(condition, task_in(task_status::completed)), 0);
        assert_int_equal(result_of(condition, task_in(task_status::failed)), 1);
        assert_int_equal(result_of(condition, task_in(task_status::refused)), 1);
        assert_int_equal(result_of(condition, task_in(task_status::canceled)), 3);
        assert_int_equal(result_of(condition, task_in(task_status::pending)), -1);
    }
}

void a_task_on_its_way_ends_the_wait_for_that(void **)
{
    assert_int_equal(result_of("final", task_in(task_status::in_progress, 100, "person")), -1);
    assert_int_equal(result_of("waiting", task_in(task_status::in_progress, 25, "person")), 0);
    assert_int_equal(result_of("waiting", task_in(task_status::in_progress, 25, "time")), -1);
    assert_int_equal(result_of("weight=25", task_in(task_status::in_progress, 25)), 0);
    assert_int_equal(result_of("weight=25", task_in(task_status::in_progress, 50)), 0);
    assert_int_equal(result_of("weight=25", task_in(task_status::in_progress, 5)), -1);
}

void what_is_no_condition_is_none(void **)
{
    for (const char *text : {"", "over", "weight", "weight=", "weight=101", "weight=-1", "weight=5%"}) {
        assert_false(until_condition::read(text).has_value());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_is_over_ends_every_wait),
        cmocka_unit_test(a_task_on_its_way_ends_the_wait_for_that),
        cmocka_unit_test(what_is_no_condition_is_none),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
