// Tasks that are canceled before their turn.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "worker/scheduler/queue_cancellation.hpp"

#include <string>

namespace {

struct cancellation_of_queues : scheduler_parts {
    int put_back = 0;
    rollout::queue_cancellation cancellation{queues, journal, time, [this] { ++put_back; }};
};

void a_task_leaves_its_queue_at_once_and_is_answered_when_that_is_durable(void **)
{
    cancellation_of_queues world;
    world.queue("t1", "m");
    const auto waits = world.queue("t2", "m");
    world.queue("t3", "m");
    world.cancellation.cancel(waits, world.client());
    assert_text(world.waiting("m"), "t1 t3");
    assert_true(world.cancellation.is_canceling("t2"));
    assert_text(world.status("t2"), "pending");
    assert_true(world.answers.empty());
    world.time.settle();
    assert_text(world.answer(), "t2 canceled");
    assert_text(world.task("t2").detail, "The task was canceled by a client before it began; nothing was changed.");
    assert_int_equal(static_cast<int>(world.task("t2").waits_for), static_cast<int>(rollout::wait_reason::none));
    assert_false(world.cancellation.is_canceling("t2"));
    assert_int_equal(world.put_back, 0);
}

void who_asks_meanwhile_is_answered_with_the_first(void **)
{
    cancellation_of_queues world;
    world.cancellation.cancel(world.queue("t", "m"), world.client());
    world.cancellation.await("t", world.client());
    world.time.settle();
    assert_int_equal(world.answers.size(), 2);
    assert_text(world.answers[0], "t canceled");
    assert_text(world.answers[1], "t canceled");
}

void without_the_journal_it_waits_on_where_it_was(void **)
{
    cancellation_of_queues world;
    world.queue("t1", "m");
    const auto waits = world.queue("t2", "m");
    world.queue("t3", "m");
    world.journal.failing_writes = 1;
    world.cancellation.cancel(waits, world.client());
    world.time.settle();
    assert_text(
        world.answer(),
        "500 The task could not be canceled and keeps waiting: the disk is full. Retry after fixing the cause.");
    assert_text(world.waiting("m"), "t1 t2 t3");
    assert_int_equal(world.put_back, 1);
    assert_false(world.cancellation.is_canceling("t2"));
    world.cancellation.cancel(waits, world.client());
    world.time.settle();
    assert_text(world.answer(), "t2 canceled");
}

void a_newer_deployment_cancels_those_that_it_supersedes(void **)
{
    cancellation_of_queues world;
    world.queue("t1", "m");
    world.queue("t2", "m");
    world.cancellation.cancel_superseded("m"); // nothing supersedes them yet
    assert_text(world.waiting("m"), "t1 t2");
    world.queue("t3", "m", true);
    world.queue("other", "other");
    world.cancellation.cancel_superseded("m");
    assert_text(world.waiting("m"), "t3");
    world.cancellation.await("t2", world.client());
    world.time.settle();
    assert_text(world.answer(), "t2 canceled");
    assert_text(world.status("t1"), "canceled");
    assert_text(world.task("t1").detail,
                "The task was canceled before it began, and nothing was changed: deployment task t3 of the "
                "model came after it and supersedes it.");
    assert_text(world.status("t3"), "pending");
    assert_text(world.waiting("other"), "other");
}

void a_superseded_task_that_cannot_be_read_or_written_waits_on(void **)
{
    for (const std::string fault : {"read", "write", "document", "document of another"}) {
        cancellation_of_queues world;
        world.queue("t1", "m");
        world.queue("t2", "m", true);
        if (fault == "read") {
            world.journal.failing_reads = 1;
        } else if (fault == "write") {
            world.journal.failing_writes = 1;
        } else {
            world.file.tasks["t1"].document = fault == "document" ? "{\"half" : world.file.tasks.at("t2").document;
        }
        world.cancellation.cancel_superseded("m");
        world.cancellation.await("t1", world.client());
        world.time.settle();
        assert_holds(world.answer(), "500 The task could not be canceled and keeps waiting: ");
        assert_text(world.waiting("m"), "t1 t2");
        assert_int_equal(world.put_back, 1);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_leaves_its_queue_at_once_and_is_answered_when_that_is_durable),
        cmocka_unit_test(who_asks_meanwhile_is_answered_with_the_first),
        cmocka_unit_test(without_the_journal_it_waits_on_where_it_was),
        cmocka_unit_test(a_newer_deployment_cancels_those_that_it_supersedes),
        cmocka_unit_test(a_superseded_task_that_cannot_be_read_or_written_waits_on),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
