// Who gets a permit, and when: the pool alone.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/scheduler/permit_pool.hpp"

#include <string>

namespace {

using rollout::outcome;
using rollout::urgency;

struct pool_and_tasks {
    explicit pool_and_tasks(std::uint64_t most_places) : most(most_places) {}

    rollout::permit_pool::surroundings around()
    {
        return {[this] { return most; }, [this] { return taken_by_others; },
                [this](const std::string &model_id) {
                    begun += model_id + (pool.has_permit(model_id) ? " " : "* "); // *: without a permit
                },
                [this] { ++offers; }};
    }

    /// Puts a model into the queue, and hands out what is free.
    void enqueue(const std::string &model_id, urgency is = urgency::deployment)
    {
        pool.enqueue({is, ++last_sequence, model_id});
        pool.hand_out();
    }

    /// Waits for a permit; what it comes to is noted under the model's name.
    rollout::operation_ptr acquire_permit(const std::string &model_id)
    {
        return pool.acquire_permit(model_id, [this, model_id](const outcome &result) {
            granted += model_id + (result ? " " : "! "); // !: it failed
        });
    }

    std::uint64_t most;
    std::size_t taken_by_others = 0; ///< by what is not a task
    fake_clock time;
    rollout::permit_pool pool{time, around()};
    std::uint64_t last_sequence = 0;
    std::string begun;
    std::string granted;
    int offers = 0;
};

void no_more_tasks_begin_than_there_are_places(void **)
{
    pool_and_tasks world(2);
    for (const char *model_id : {"a", "b", "c", "d"}) {
        world.enqueue(model_id);
    }
    assert_text(world.begun, "a b ");
    assert_int_equal(world.pool.taken(), 2);
    assert_true(world.pool.is_full());
    world.pool.end("b");
    assert_text(world.begun, "a b "); // whoever ends is in the middle of something
    world.time.settle();
    assert_text(world.begun, "a b c ");
    world.most = 3;
    world.pool.hand_out();
    assert_text(world.begun, "a b c d ");
}

void a_place_goes_to_the_most_urgent_and_then_to_the_oldest(void **)
{
    pool_and_tasks world(0);
    world.enqueue("deploy1");
    world.enqueue("deploy2");
    world.enqueue("delete", urgency::deletion);
    world.enqueue("back", urgency::rollback);
    world.most = 1;
    world.pool.hand_out();
    for (const char *ends : {"back", "delete", "deploy1"}) {
        world.pool.end(ends);
        world.time.settle();
    }
    assert_text(world.begun, "back delete deploy1 deploy2 ");
}

void what_has_begun_before_a_restart_goes_on_without_a_place(void **)
{
    pool_and_tasks world(1);
    world.pool.enqueue({urgency::begun, 1, "a"});
    world.pool.enqueue({urgency::begun, 2, "b"});
    world.pool.enqueue({urgency::deployment, 3, "c"});
    world.pool.hand_out();
    assert_text(world.begun, "a b* ");
    assert_int_equal(world.pool.taken(), 1);
    world.pool.end("b"); // which had none
    world.time.settle();
    assert_text(world.begun, "a b* ");
}

void a_model_has_one_turn_that_of_its_first_task(void **)
{
    pool_and_tasks world(0);
    world.pool.enqueue({urgency::deployment, 1, "a"});
    world.pool.enqueue({urgency::deployment, 2, "b"});
    world.pool.enqueue({urgency::deployment, 3, "a"}); // the first one was canceled
    assert_int_equal(world.pool.waiting().size(), 2);
    world.pool.dequeue("c");
    world.most = 2;
    world.pool.hand_out();
    assert_text(world.begun, "b a ");
    world.pool.enqueue({urgency::deployment, 4, "c"});
    world.pool.dequeue("c");
    world.most = 3;
    world.pool.hand_out();
    assert_text(world.begun, "b a ");
}

void a_task_that_is_to_work_again_is_before_those_that_have_not_begun(void **)
{
    pool_and_tasks world(1);
    world.enqueue("held");
    world.pool.release_permit("held");
    world.pool.release_permit("held"); // it has nothing to give back
    assert_int_equal(world.pool.taken(), 0);
    world.enqueue("slow");
    world.enqueue("new");
    const auto wait = world.acquire_permit("held");
    world.time.settle();
    assert_text(world.granted, "");
    world.pool.end("slow");
    world.time.settle();
    assert_text(world.granted, "held ");
    assert_text(world.begun, "held slow ");
    assert_true(world.pool.has_permit("held"));
}

void a_place_that_is_free_or_held_is_granted_from_the_loop(void **)
{
    pool_and_tasks world(1);
    world.enqueue("a");
    const auto first = world.acquire_permit("a");
    assert_text(world.granted, "");
    world.time.settle();
    assert_text(world.granted, "a ");
    assert_int_equal(world.pool.taken(), 1);
    world.pool.release_permit("a");
    const auto second = world.acquire_permit("a");
    assert_true(world.pool.has_permit("a"));
    world.time.settle();
    assert_text(world.granted, "a a ");
}

void a_wait_that_is_canceled_or_abandoned_leaves_the_line(void **)
{
    pool_and_tasks world(1);
    world.enqueue("held");
    world.pool.release_permit("held");
    world.enqueue("slow");
    auto wait = world.acquire_permit("held");
    assert_int_equal(world.pool.waiting().size(), 1);
    wait->cancel();
    assert_true(world.pool.waiting().empty());
    world.time.settle();
    assert_text(world.granted, "held! ");
    wait = world.acquire_permit("held");
    wait.reset();
    assert_true(world.pool.waiting().empty());
    world.pool.end("slow");
    world.time.settle();
    assert_false(world.pool.has_permit("held"));
    assert_int_equal(world.pool.taken(), 0);
}

void what_is_not_a_task_gets_what_no_task_wants(void **)
{
    pool_and_tasks world(2);
    world.enqueue("a");
    assert_int_equal(world.offers, 1);
    assert_true(world.pool.has_rest());
    world.taken_by_others = 1;
    assert_false(world.pool.has_rest());
    world.enqueue("b");
    assert_text(world.begun, "a ");
    assert_int_equal(world.offers, 1);
    world.taken_by_others = 0;
    assert_false(world.pool.has_rest()); // it is b's
    world.pool.hand_out_soon();
    world.time.settle();
    assert_text(world.begun, "a b ");
    assert_int_equal(world.offers, 2);
}

void behind_a_stop_nothing_is_handed_out(void **)
{
    pool_and_tasks world(1);
    world.enqueue("a");
    world.enqueue("b");
    world.pool.end("a");
    world.pool.stop();
    world.pool.hand_out();
    world.pool.hand_out_soon();
    world.time.settle();
    assert_text(world.begun, "a ");
    assert_false(world.pool.has_rest());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(no_more_tasks_begin_than_there_are_places),
        cmocka_unit_test(a_place_goes_to_the_most_urgent_and_then_to_the_oldest),
        cmocka_unit_test(what_has_begun_before_a_restart_goes_on_without_a_place),
        cmocka_unit_test(a_model_has_one_turn_that_of_its_first_task),
        cmocka_unit_test(a_task_that_is_to_work_again_is_before_those_that_have_not_begun),
        cmocka_unit_test(a_place_that_is_free_or_held_is_granted_from_the_loop),
        cmocka_unit_test(a_wait_that_is_canceled_or_abandoned_leaves_the_line),
        cmocka_unit_test(what_is_not_a_task_gets_what_no_task_wants),
        cmocka_unit_test(behind_a_stop_nothing_is_handed_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
