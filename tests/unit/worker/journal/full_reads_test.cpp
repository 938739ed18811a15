// All of what a journal has, page by page.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "worker/journal/full_reads.hpp"

#include <string>

namespace {

using rollout::outcome;

struct journal_and_reader : scheduler_parts {
    void read_tasks()
    {
        work = rollout::read_all_unfinished(
            journal,
            [this](const std::vector<rollout::task_row> &page) {
                for (const auto &row : page) {
                    note(told, row.task_id);
                }
            },
            [this](const outcome &how) { note(told, how ? "ok" : how.detail); });
    }

    void read_models()
    {
        work = rollout::read_all_models(
            journal,
            [this](const std::vector<rollout::model> &page) {
                for (const auto &one : page) {
                    note(told, one.model_id);
                }
            },
            [this](const outcome &how) { note(told, how ? "ok" : how.detail); });
    }

    std::string told; ///< in its order
    rollout::operation_ptr work;
};

void all_pages_come_in_their_order_and_then_the_end(void **)
{
    journal_and_reader world;
    for (const char *task_id : {"t3", "t1", "t2"}) {
        world.store(task_id, "m");
    }
    world.store("over", "m", rollout::task_status::completed);
    world.read_tasks();
    assert_text(world.told, "");
    world.time.settle();
    assert_text(world.told, "t3 t1 t2 ok");
}

void of_models_as_well(void **)
{
    journal_and_reader world;
    for (const char *model_id : {"b", "a"}) {
        rollout::model known;
        known.model_id = model_id;
        world.journal.save_model(known, [](const auto &, auto) {});
    }
    world.time.settle();
    world.read_models();
    world.time.settle();
    assert_text(world.told, "a b ok");
}

void what_there_is_none_of_ends_at_once(void **)
{
    journal_and_reader world;
    world.read_tasks();
    world.time.settle();
    assert_text(world.told, "ok");
}

void what_is_accepted_meanwhile_may_be_among_them(void **)
{
    journal_and_reader world;
    world.store("t1", "m");
    world.read_tasks();
    world.store("t2", "m");
    assert_text(world.told, "t1 t2 ok");
}

void a_page_that_cannot_be_read_ends_it_with_the_reason(void **)
{
    journal_and_reader world;
    world.store("t1", "m");
    world.store("t2", "m");
    world.read_tasks();
    world.time.next();
    world.journal.failing_reads = 1;
    world.time.settle();
    assert_text(world.told, "t1 the disk does not answer");
}

void what_is_canceled_says_so_and_what_is_destroyed_says_nothing(void **)
{
    for (const bool destroys : {false, true}) {
        journal_and_reader world;
        world.store("t1", "m");
        world.store("t2", "m");
        world.read_tasks();
        world.time.next();
        if (destroys) {
            world.work.reset();
        } else {
            world.work->cancel();
        }
        world.time.settle();
        assert_text(world.told, destroys ? "t1" : "t1 canceled");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(all_pages_come_in_their_order_and_then_the_end),
        cmocka_unit_test(of_models_as_well),
        cmocka_unit_test(what_there_is_none_of_ends_at_once),
        cmocka_unit_test(what_is_accepted_meanwhile_may_be_among_them),
        cmocka_unit_test(a_page_that_cannot_be_read_ends_it_with_the_reason),
        cmocka_unit_test(what_is_canceled_says_so_and_what_is_destroyed_says_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
