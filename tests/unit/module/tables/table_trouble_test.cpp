// The task table in trouble: full of tasks that all are wanted, or left in the middle by a writer that was killed.
#include "module/tables/route_table.hpp"
#include "module/tables/task_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_memory.hpp"
#include "tests/unit/module/tables/line_memory.hpp"
#include "tests/unit/module/tables/sample_task.hpp"
#include "tests/unit/module/tables/stepped_writer.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <vector>

namespace {

using rollout::record_store;
using rollout::task_kind;
using rollout::task_status;
using rollout::task_table;

constexpr auto stored = task_table::stored::yes;

/// Full of pending tasks, `task-1` the oldest. Returns how many there are.
std::uint64_t fill_with_pending(const record_store &store, task_table &table)
{
    std::uint64_t number = 0;
    while (store.free_cells() >= 40) {
        ++number;
        put(table, {"task-" + std::to_string(number), "model-1", task_status::pending, number, number});
    }
    return number;
}

void the_oldest_of_a_full_queue_can_be_updated(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    task_table table(store);
    fill_with_pending(store, table);
    // The queue is worked off from its front: its oldest task is the one that changes next.
    const sample_task begun = {"task-1", "model-1", task_status::in_progress, 1, 1000, task_kind::deploy, 3000};
    assert_true(put(table, begun) == stored);
    assert_text(document_of(table, "task-1"), begun.document());
    assert_text(document_of(table, "task-2"), "(none)");
}

void an_update_of_the_oldest_final_task_evicts_the_next_final_one(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    task_table table(store);
    for (std::uint64_t i = 1; i <= 5; ++i) {
        put(table, {"final-" + std::to_string(i), "m", task_status::completed, 2000 + i, 2000 + i});
    }
    fill_with_pending(store, table);
    assert_true(put(table, {"final-1", "m", task_status::completed, 2001, 3000, task_kind::deploy, 2500}) == stored);
    assert_text(document_of(table, "final-2"), "(none)");
    assert_holds(document_of(table, "task-1"), "\"task_id\":\"task-1\"");
}

void a_task_without_room_for_its_update_is_not_answered_as_it_was(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    task_table table(store);
    assert_true(put(table, {"t", "m", task_status::pending, 1, 1}) == stored);
    for (int i = 0;
         store.put(rollout::record_map::routes, std::to_string(i), {std::string(250, 'r')}, rollout::age_list::none);
         ++i) {
    }
    // On a miss rolloutd is asked; a hit with an old status is final for whoever polls.
    assert_true(put(table, {"t", "m", task_status::completed, 1, 2, task_kind::deploy, 5000}) ==
                task_table::stored::no_room);
    assert_text(document_of(table, "t"), "(none)");
}

void after_a_kill_and_a_resynchronisation_all_is_as_it_should(void **)
{
    const shared_block block;
    record_store store(block.get());
    task_table table(store);
    std::vector<sample_task> journal;
    std::uint64_t evicted = 0;
    for (std::uint64_t i = 1; evicted == 0; ++i) {
        journal.push_back(
            {"task-" + std::to_string(i), "model-" + std::to_string(i % 7), task_status::completed, i, i});
        put(table, journal.back(), evicted);
    }
    journal.push_back({"added", "model-new", task_status::pending, 1000, 1000});

    int states = 0;
    int wrong_latest = 0;
    int leaks = 0;
    const auto ended = step_through(
        block,
        [&] {
            const bool whole = store.begin_write();
            put(table, journal.back());
            store.end_write();
            if (!whole) {
                _exit(1);
            }
        },
        [&](void *memory) {
            ++states;
            record_store left(memory);
            task_table again(left);
            if (!left.begin_write()) {
                left.repair();
                std::uint64_t missing = 0;
                again.rebuild_models(missing);
            }
            for (const auto &task : journal) {
                put(again, task);
            }
            wrong_latest += latest_of(again, "model-new") != "added";
            while (again.evict_one()) {
            }
            leaks += left.free_cells() != left.cells();
        });
    if (ended == stepped::not_allowed) {
        _skip(__FILE__, __LINE__);
    }
    print_message("of %d states, latest is wrong after %d, cells leak after %d\n", states, wrong_latest, leaks);
    assert_true(ended == stepped::to_the_end);
    assert_int_equal(wrong_latest, 0);
    assert_int_equal(leaks, 0);
}

void what_a_killed_writer_left_is_repaired_without_memory(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    rollout::task_counts counts;
    task_table tasks(store, &counts);
    const line_memory meter_memory(rollout::route_metrics::bytes_for(8, 1));
    rollout::route_metrics::format(meter_memory.get(), 8, 1);
    rollout::route_metrics meters(meter_memory.get());
    rollout::route_table routes(store, &meters);
    const sample_task large = {"large", "m", task_status::completed, 1, 1, task_kind::deploy, 30000};
    put(tasks, large);
    routes.put({"m", "", rollout::route_target{1, "upstream", "m__r1"}, {}, 0});
    meters.take("killed-before-its-route-stood", "");
    assert_true(store.begin_write());

    std::uint64_t missing = 0;
    bool had_memory = true;
    allocations_left = 0;
    try {
        if (!store.begin_write()) {
            store.repair();
            tasks.rebuild_models(missing);
            routes.release_meters();
            store.end_write();
        }
    } catch (const std::bad_alloc &) {
        had_memory = false;
    }
    allocations_left = unlimited;
    assert_true(had_memory);
    assert_true(store.begin_write());
    assert_int_equal(missing, 0);
    assert_text(latest_of(tasks, "m"), "large");
    assert_text(document_of(tasks, "large"), large.document());
    assert_int_equal(meters.read(0, meters.entries()).size(), 2);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_of_a_full_queue_can_be_updated),
        cmocka_unit_test(an_update_of_the_oldest_final_task_evicts_the_next_final_one),
        cmocka_unit_test(a_task_without_room_for_its_update_is_not_answered_as_it_was),
        cmocka_unit_test(what_a_killed_writer_left_is_repaired_without_memory),
        cmocka_unit_test(after_a_kill_and_a_resynchronisation_all_is_as_it_should),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
