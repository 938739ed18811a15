#include "tests/unit/cmocka.hpp"
#include "worker/scheduler/task_queues.hpp"

#include <string>

namespace {

using rollout::urgency;
using rollout::waiting_task;

/// The queue of one model, and what it says.
struct queue_of_m {
    queue_of_m()
    {
        tasks.on_first_changed = [this](const std::string &model_id) {
            assert_text(model_id, "m");
            firsts += (tasks.of("m").empty() ? "-" : tasks.of("m").front().task_id) + " ";
        };
        tasks.on_moved = [this](const rollout::task_name &which) { moved += which.task_id + " "; };
    }

    void push(std::uint64_t sequence, const std::string &task_id, urgency is = urgency::deployment,
              bool supersedes = false)
    {
        tasks.push("m", {sequence, task_id, static_cast<std::int64_t>(sequence * 1000), is, supersedes});
    }

    std::string order() const
    {
        std::string ids;
        for (const auto &waits : tasks.of("m")) {
            ids += waits.task_id + " ";
        }
        return ids;
    }

    rollout::task_queues tasks;
    std::string moved;
    std::string firsts; ///< one after the other
};

void tasks_leave_in_the_order_in_which_they_came(void **)
{
    queue_of_m queue;
    queue.push(1, "a");
    queue.push(2, "b");
    queue.push(3, "c");
    assert_text(queue.moved, "");
    assert_text(queue.tasks.pop("m").task_id, "a");
    assert_text(queue.tasks.pop("m").task_id, "b");
    assert_text(queue.moved, "b c ");
    assert_text(queue.tasks.pop("m").task_id, "c");
    assert_text(queue.moved, "b c ");
    assert_text(queue.firsts, "a b c - ");
    assert_true(queue.tasks.all().empty());
    assert_int_equal(queue.tasks.size(), 0);
}

void one_that_is_taken_out_and_put_back_is_where_it_was(void **)
{
    queue_of_m queue;
    queue.push(1, "a");
    queue.push(2, "b");
    queue.push(3, "c");
    const waiting_task taken = queue.tasks.take({"m", "b"});
    assert_text(queue.order(), "a c ");
    assert_text(queue.moved, "c ");
    assert_false(queue.tasks.contains({"m", "b"}));
    queue.push(4, "d");
    queue.tasks.put_back("m", taken);
    assert_text(queue.order(), "a b c d ");
    assert_text(queue.moved, "c b c ");

    assert_text(queue.firsts, "a ");

    const waiting_task first = queue.tasks.take({"m", "a"});
    queue.tasks.put_back("m", first);
    assert_text(queue.order(), "a b c d ");
    assert_text(queue.firsts, "a b a ");
    assert_int_equal(queue.tasks.size(), 4);
}

void the_only_one_comes_back_to_a_queue_of_its_own(void **)
{
    queue_of_m queue;
    queue.push(1, "a");
    const waiting_task taken = queue.tasks.take({"m", "a"});
    assert_true(queue.tasks.of("m").empty());
    queue.tasks.put_back("m", taken);
    assert_text(queue.order(), "a ");
    assert_text(queue.moved, "a ");
}

void each_knows_whom_it_stands_behind(void **)
{
    queue_of_m queue;
    assert_text(queue.tasks.last("m"), "");
    queue.push(1, "a");
    queue.push(2, "b");
    assert_text(queue.tasks.before({"m", "a"}), "");
    assert_text(queue.tasks.before({"m", "b"}), "a");
    assert_text(queue.tasks.last("m"), "b");
    assert_false(queue.tasks.contains({"other", "a"}));
}

void the_oldest_is_the_oldest_of_all_queues(void **)
{
    queue_of_m queue;
    queue.tasks.on_first_changed = [](const std::string &) {};
    assert_false(queue.tasks.oldest_us().has_value());
    queue.push(2, "b");
    queue.tasks.push("other", {1, "a", 500, urgency::deletion});
    assert_int_equal(queue.tasks.oldest_us().value(), 500);
    queue.tasks.pop("other");
    assert_int_equal(queue.tasks.oldest_us().value(), 2000);
}

void the_last_one_that_supersedes_does_so_with_deployments_before_it(void **)
{
    queue_of_m queue;
    queue.push(1, "begun", urgency::begun);
    queue.push(2, "a");
    queue.push(3, "deletion", urgency::deletion);
    assert_true(queue.tasks.superseded("m").older.empty());
    assert_text(queue.tasks.superseded("m").newer, "");
    queue.push(4, "b", urgency::deployment, true);
    queue.push(5, "rollback", urgency::rollback);
    queue.push(6, "c", urgency::deployment, true);
    queue.push(7, "d");
    const auto [newer, older] = queue.tasks.superseded("m");
    assert_text(newer, "c");
    assert_int_equal(older.size(), 2);
    assert_text(older[0].task_id, "a");
    assert_text(older[1].task_id, "b");
    assert_true(queue.tasks.superseded("other").older.empty());
}

void what_has_begun_goes_on_first_then_what_gives_room(void **)
{
    using rollout::task_kind;
    using rollout::task_status;
    const urgency order[] = {
        urgency_of(task_kind::deploy, task_status::in_progress, 0),
        urgency_of(task_kind::deploy, task_status::pending, 3), // back to revision 3
        urgency::under_way,
        urgency_of(task_kind::remove, task_status::pending, 0),
        urgency_of(task_kind::deploy, task_status::pending, 0),
    };
    for (std::size_t i = 1; i < std::size(order); ++i) {
        assert_true(order[i - 1] < order[i]);
    }
    assert_true(urgency_of(task_kind::remove, task_status::in_progress, 0) == order[0]);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(tasks_leave_in_the_order_in_which_they_came),
        cmocka_unit_test(one_that_is_taken_out_and_put_back_is_where_it_was),
        cmocka_unit_test(the_only_one_comes_back_to_a_queue_of_its_own),
        cmocka_unit_test(each_knows_whom_it_stands_behind),
        cmocka_unit_test(the_oldest_is_the_oldest_of_all_queues),
        cmocka_unit_test(the_last_one_that_supersedes_does_so_with_deployments_before_it),
        cmocka_unit_test(what_has_begun_goes_on_first_then_what_gives_room),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
