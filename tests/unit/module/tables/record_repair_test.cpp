// How a store notices a writer that did not come to its end, and what a repair keeps. What a kill at any instruction
// leaves behind is killed_writer_test's.
#include "module/tables/record_store.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <set>

namespace {

using rollout::age_list;
using rollout::record_map;
using rollout::record_store;

constexpr auto tasks = record_map::tasks;

void a_writer_that_ended_is_told_from_one_that_did_not(void **)
{
    const table_memory memory;
    record_store writer(memory.get());
    assert_true(writer.begin_write());
    writer.end_write();
    assert_true(writer.begin_write());

    record_store next(memory.get());
    assert_false(next.begin_write());
    next.repair();
    next.end_write();
    assert_true(next.begin_write());
}

void a_repair_that_is_cut_short_is_asked_for_again(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    assert_true(store.put(tasks, "key", {"value"}, age_list::final_tasks));
    assert_true(store.begin_write());
    assert_false(store.begin_write());
    store.repair();
    assert_false(store.begin_write());
    store.repair();
    store.end_write();
    assert_text(value_of(store, tasks, "key"), "value");
}

void a_repair_of_what_is_whole_changes_nothing_that_can_be_read(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    for (int i = 0; i < 300; ++i) {
        const std::string key = std::to_string(i);
        assert_true(
            store.put(tasks, key, {std::string(static_cast<std::size_t>(i), 't')}, static_cast<age_list>(i % 3)));
        assert_true(store.put(record_map::models, key, {"model ", key}, age_list::none));
        if (i % 4 == 0) {
            assert_true(store.put(record_map::routes, key, {"route ", key}, age_list::none));
        }
    }
    const std::size_t free_cells = store.free_cells();
    store.repair();
    for (int i = 0; i < 300; ++i) {
        const std::string key = std::to_string(i);
        assert_text(value_of(store, tasks, key), std::string(static_cast<std::size_t>(i), 't'));
        assert_text(value_of(store, record_map::models, key), "model " + key);
        assert_text(value_of(store, record_map::routes, key), i % 4 == 0 ? "route " + key : no_record);
    }
    assert_int_equal(store.free_cells(), free_cells);
    assert_int_equal(store.count(tasks), 300);
    assert_int_equal(store.count(record_map::models), 300);
    assert_int_equal(store.count(record_map::routes), 75);
}

void a_repair_keeps_each_record_in_its_list(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    std::set<std::string> finals;
    std::set<std::string> actives;
    for (int i = 0; i < 90; ++i) {
        const auto list = static_cast<age_list>(i % 3);
        const std::string key = std::to_string(i);
        assert_true(store.put(tasks, key, {"v"}, list));
        if (list == age_list::final_tasks) {
            finals.insert(key);
        } else if (list == age_list::active_tasks) {
            actives.insert(key);
        }
    }
    store.repair();
    for (const auto &[list, expected] :
         {std::pair{age_list::final_tasks, finals}, std::pair{age_list::active_tasks, actives}}) {
        std::set<std::string> listed;
        for (std::string key = oldest_of(store, list); !key.empty(); key = oldest_of(store, list)) {
            assert_true(listed.insert(key).second);
            assert_true(store.erase(tasks, key));
        }
        assert_true(listed == expected);
    }
    assert_int_equal(store.count(tasks), 30);
}

void an_empty_and_a_full_store_can_be_repaired(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    store.repair();
    assert_int_equal(store.free_cells(), store.cells());
    std::size_t records = 0;
    while (store.put(tasks, std::to_string(records), {}, age_list::final_tasks)) {
        ++records;
    }
    assert_int_equal(records, store.cells());
    store.repair();
    assert_int_equal(store.free_cells(), 0);
    assert_int_equal(store.count(tasks), records);
    for (std::size_t i = 0; i < records; ++i) {
        assert_text(value_of(store, tasks, std::to_string(i)), "");
    }
    assert_true(store.erase(tasks, "0"));
    assert_true(store.put(tasks, "0", {}, age_list::final_tasks));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_that_ended_is_told_from_one_that_did_not),
        cmocka_unit_test(a_repair_that_is_cut_short_is_asked_for_again),
        cmocka_unit_test(a_repair_of_what_is_whole_changes_nothing_that_can_be_read),
        cmocka_unit_test(a_repair_keeps_each_record_in_its_list),
        cmocka_unit_test(an_empty_and_a_full_store_can_be_repaired),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
