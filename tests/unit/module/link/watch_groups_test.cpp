#include "module/link/watch_groups.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_memory.hpp"

#include <algorithm>

namespace {

using rollout::watch_groups;
using ids = std::vector<std::uint64_t>;

ids sorted(ids all)
{
    std::ranges::sort(all);
    return all;
}

void the_first_asks_for_all_and_all_get_the_answer(void **)
{
    watch_groups groups;
    assert_true(groups.add(1, "a after 7"));
    assert_false(groups.add(2, "a after 7"));
    assert_true(groups.add(3, "a after 8"));
    assert_false(groups.add(4, "a after 7"));
    assert_true(sorted(groups.take(1)) == ids({1, 2, 4}));
    assert_true(groups.take(1).empty());
    assert_true(groups.take(2).empty());
    assert_true(groups.take(3) == ids({3}));
    assert_true(groups.add(5, "a after 7"));
}

void a_question_stands_until_the_last_has_gone(void **)
{
    watch_groups groups;
    groups.add(1, "a");
    groups.add(2, "a");
    groups.add(3, "a");
    assert_false(groups.remove(1).has_value());
    assert_false(groups.remove(1).has_value());
    assert_false(groups.add(4, "a"));
    assert_false(groups.remove(2).has_value());
    assert_false(groups.remove(4).has_value());
    assert_int_equal(groups.remove(3).value(), 1);
    assert_true(groups.take(1).empty());
    assert_true(groups.add(5, "a"));
    assert_false(groups.remove(99).has_value());
}

void a_question_whose_first_has_gone_is_answered_to_those_who_wait(void **)
{
    watch_groups groups;
    groups.add(1, "a");
    groups.add(2, "a");
    groups.remove(1);
    assert_true(groups.take(1) == ids({2}));
    assert_false(groups.remove(2).has_value());
}

void a_new_rolloutd_is_asked_by_one_who_waits(void **)
{
    watch_groups groups;
    groups.add(1, "a");
    groups.add(2, "a");
    groups.add(3, "b");
    groups.remove(1);
    assert_true(sorted(groups.ask_again()) == ids({2, 3}));
    assert_true(groups.take(1).empty());
    assert_true(groups.take(2) == ids({2}));
    assert_int_equal(groups.remove(3).value(), 3);
    assert_true(groups.ask_again().empty());
}

void everyone_who_waits_is_counted(void **)
{
    watch_groups groups;
    groups.add(1, "a");
    groups.add(2, "a");
    groups.add(3, "b");
    assert_int_equal(groups.waiting(), 3);
    groups.remove(1);
    groups.remove(1);
    assert_int_equal(groups.waiting(), 2);
    groups.ask_again();
    assert_int_equal(groups.waiting(), 2);
    groups.take(2);
    assert_int_equal(groups.waiting(), 1);
    groups.remove(3);
    assert_int_equal(groups.waiting(), 0);
}

/// What `add` says once it has the memory; each attempt before has one allocation more, and must leave nothing behind.
bool add_at_last(watch_groups &groups, std::uint64_t id, std::string_view news)
{
    const auto waiting = groups.waiting();
    for (int left = 0;; ++left) {
        allocations_left = left;
        try {
            const bool is_first = groups.add(id, news);
            allocations_left = unlimited;
            assert_true(left > 0);
            return is_first;
        } catch (const std::bad_alloc &) {
            allocations_left = unlimited;
            assert_int_equal(groups.waiting(), waiting);
            assert_false(groups.remove(id).has_value());
            assert_int_equal(groups.ask_again().size(), waiting);
        }
    }
}

void who_finds_no_memory_leaves_nothing_behind(void **)
{
    watch_groups groups;
    // Longer than what a string holds without memory of its own.
    assert_true(add_at_last(groups, 1, "deploy a-task-with-a-long-name 7"));
    assert_false(add_at_last(groups, 2, "deploy a-task-with-a-long-name 7"));
    assert_true(sorted(groups.take(1)) == ids({1, 2}));
    assert_int_equal(groups.waiting(), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_first_asks_for_all_and_all_get_the_answer),
        cmocka_unit_test(a_question_stands_until_the_last_has_gone),
        cmocka_unit_test(a_question_whose_first_has_gone_is_answered_to_those_who_wait),
        cmocka_unit_test(a_new_rolloutd_is_asked_by_one_who_waits),
        cmocka_unit_test(everyone_who_waits_is_counted),
        cmocka_unit_test(who_finds_no_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
