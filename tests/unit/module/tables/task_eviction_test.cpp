// A full task table: who has to go for whom.
#include "common/domain/limits.hpp"
#include "module/tables/task_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/sample_task.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <vector>

namespace {

using rollout::record_store;
using rollout::task_kind;
using rollout::task_status;
using rollout::task_table;

constexpr auto stored = task_table::stored::yes;

struct own_table {
    table_memory memory;
    record_store store{memory.get()};
    task_table table{store};
    std::uint64_t evicted = 0;
    std::uint64_t next = 1; ///< sequence and revision
    int others = 0;

    task_table::stored add(std::string_view task_id, task_status status, std::size_t bytes = 600,
                           std::string_view model_id = "m")
    {
        const std::uint64_t number = next++;
        return put(table,
                   {std::string(task_id), std::string(model_id), status, number, number, task_kind::deploy, bytes},
                   evicted);
    }

    /// Adds tasks of that status until the next would need room; their ids are `others-0`, `others-1` and so on.
    void fill_up(task_status status)
    {
        while (store.free_cells() >= 40) {
            add("others-" + std::to_string(others++), status);
        }
    }

    bool has(std::string_view task_id) const { return document_of(table, task_id) != "(none)"; }

    /// Which of the others are gone: "0 1 2".
    std::string gone() const
    {
        std::string list;
        for (int i = 0; i < others; ++i) {
            if (!has("others-" + std::to_string(i))) {
                list += (list.empty() ? "" : " ") + std::to_string(i);
            }
        }
        return list;
    }
};

void a_final_task_is_evicted_first(void **)
{
    for (const auto final :
         {task_status::completed, task_status::failed, task_status::refused, task_status::canceled}) {
        own_table own;
        own.add("pending", task_status::pending);
        own.add("running", task_status::in_progress);
        own.add("final", final);
        own.fill_up(task_status::pending);
        assert_true(own.table.evict_one());
        assert_false(own.has("final"));
        assert_true(own.has("pending"));
        assert_true(own.has("running"));
    }
}

void the_oldest_of_the_final_tasks_goes_first(void **)
{
    own_table own;
    own.add("first", task_status::pending);
    own.add("second", task_status::completed);
    own.add("third", task_status::failed);
    // Its last writing counts, not its first.
    const std::uint64_t number = own.next++;
    put(own.table, {"first", "m", task_status::completed, 1, number});
    for (const char *task_id : {"second", "third", "first"}) {
        assert_true(own.has(task_id));
        assert_true(own.table.evict_one());
        assert_false(own.has(task_id));
    }
    assert_false(own.table.evict_one());
}

void a_task_that_is_not_final_stays_while_a_final_one_is_there(void **)
{
    own_table own;
    std::vector<std::string> active;
    for (int i = 0; i < 30; ++i) {
        active.push_back("active-" + std::to_string(i));
        own.add(active.back(), i % 2 ? task_status::pending : task_status::in_progress);
    }
    own.fill_up(task_status::completed);
    for (int i = 0; i < 500; ++i) {
        assert_true(own.add("more-" + std::to_string(i), task_status::completed) == stored);
    }
    for (const auto &task_id : active) {
        assert_true(own.has(task_id));
    }
    assert_true(own.evicted > 450);
}

void room_is_made_for_a_long_document(void **)
{
    own_table own;
    own.fill_up(task_status::completed);
    const std::size_t before = own.table.count();
    assert_true(own.add("long", task_status::pending, rollout::limits::document_bytes) == stored);
    assert_true(own.has("long"));
    assert_true(own.evicted > 50);
    assert_int_equal(own.table.count(), before + 1 - own.evicted);
    // The oldest went, the newest stayed.
    assert_holds(own.gone(), "0 1 2 3 4 5 6 7 8 9 10 ");
    assert_true(own.has("others-" + std::to_string(own.others - 1)));
}

void without_final_tasks_the_oldest_of_the_others_goes(void **)
{
    own_table own;
    own.fill_up(task_status::pending);
    assert_text(own.gone(), "");
    assert_true(own.add("new-1", task_status::pending, 2000) == stored);
    assert_true(own.add("new-2", task_status::pending, 2000) == stored);
    assert_true(own.evicted >= 1);
    std::string oldest;
    for (std::uint64_t i = 0; i < own.evicted; ++i) {
        oldest += (i == 0 ? "" : " ") + std::to_string(i);
    }
    assert_text(own.gone(), oldest);
}

void every_task_that_went_is_counted(void **)
{
    own_table own;
    int added = 0;
    for (; added < 400; ++added) {
        own.add("task-" + std::to_string(added), added % 2 ? task_status::pending : task_status::completed,
                static_cast<std::size_t>(300 + added * 7 % 900));
    }
    assert_true(own.evicted > 0);
    assert_int_equal(own.table.count() + own.evicted, added);
}

void an_update_makes_room_for_itself_and_does_not_evict_its_own_task(void **)
{
    own_table own;
    own.add("oldest", task_status::completed);
    own.add("updated", task_status::pending);
    own.fill_up(task_status::pending);
    assert_true(put(own.table, {"updated", "m", task_status::completed, 2, 1000, task_kind::deploy, 1500},
                    own.evicted) == stored);
    assert_holds(document_of(own.table, "updated"), "\"revision\":1000,");
    assert_false(own.has("oldest"));
    assert_text(own.gone(), "");
}

void the_one_to_keep_is_kept(void **)
{
    own_table own;
    own.add("final", task_status::completed);
    own.add("active", task_status::pending);
    assert_true(own.table.evict_one("final"));
    assert_true(own.has("final"));
    assert_false(own.has("active"));
    assert_false(own.table.evict_one("final"));
    assert_true(own.table.evict_one());
    assert_int_equal(own.table.count(), 0);
}

void routes_are_never_evicted_for_a_task(void **)
{
    own_table own;
    own.add("victim", task_status::pending);
    int routes = 0;
    while (own.store.put(rollout::record_map::routes, "route-" + std::to_string(routes), {std::string(250, 'r')},
                         rollout::age_list::none)) {
        ++routes;
    }
    assert_true(own.add("long", task_status::pending, 5000) == task_table::stored::no_room);
    assert_false(own.has("long"));
    assert_false(own.has("victim"));
    assert_int_equal(own.store.count(rollout::record_map::routes), routes);
    assert_text(value_of(own.store, rollout::record_map::routes, "route-0"), std::string(250, 'r'));
}

void a_latest_task_that_went_is_known_to_rolloutd_only(void **)
{
    own_table own;
    own.add("older", task_status::pending);
    own.add("latest", task_status::completed);
    assert_true(own.table.evict_one());
    assert_false(own.has("latest"));
    assert_true(own.has("older"));
    // No older task passes for the latest, neither as it is nor after a change.
    assert_text(latest_of(own.table, "m"), "(none)");
    put(own.table, {"older", "m", task_status::in_progress, 1, 100});
    assert_text(latest_of(own.table, "m"), "(none)");
    put(own.table, {"another old one", "m", task_status::pending, 0, 101});
    assert_text(latest_of(own.table, "m"), "(none)");
    // It may come back, and a later one may come.
    put(own.table, {"latest", "m", task_status::completed, 2, 102});
    assert_text(latest_of(own.table, "m"), "latest");
    own.add("next", task_status::pending);
    assert_text(latest_of(own.table, "m"), "next");
}

void an_eviction_of_an_older_task_leaves_the_latest(void **)
{
    own_table own;
    own.add("older", task_status::completed);
    own.add("latest", task_status::completed);
    put(own.table, {"deletion", "m", task_status::pending, 3, 3, task_kind::remove});
    assert_true(own.table.evict_one());
    assert_false(own.has("older"));
    assert_text(latest_of(own.table, "m"), "latest");
    assert_text(latest_of(own.table, "m", task_kind::remove), "deletion");
}

void with_a_models_last_task_its_entry_goes(void **)
{
    own_table own;
    for (int i = 0; i < 40; ++i) {
        own.add("task-" + std::to_string(i), task_status::completed, 600, "model-" + std::to_string(i % 10));
    }
    while (own.table.evict_one()) {
    }
    assert_int_equal(own.table.count(), 0);
    assert_int_equal(own.store.count(rollout::record_map::models), 0);
    assert_int_equal(own.store.free_cells(), own.store.cells());
}

void what_comes_back_after_its_models_entry_went_is_not_the_latest_if_a_later_one_went_too(void **)
{
    table_memory memory;
    record_store store(memory.get());
    rollout::task_counts counts;
    task_table table(store, &counts);
    put(table, {"older", "m", task_status::pending, 1, 1});
    put(table, {"latest", "m", task_status::pending, 2, 2});
    while (table.evict_one()) {
    }
    put(table, {"older", "m", task_status::canceled, 1, 3});
    assert_text(latest_of(table, "m"), "(none)");
    std::uint64_t evicted = 0;
    table.rebuild_models(evicted);
    assert_text(latest_of(table, "m"), "(none)");
    put(table, {"new", "other", task_status::pending, 3, 4});
    assert_text(latest_of(table, "other"), "new");
    put(table, {"latest", "m", task_status::canceled, 2, 5});
    assert_text(latest_of(table, "m"), "latest");
    table.clear();
    put(table, {"first", "m", task_status::pending, 1, 1});
    assert_text(latest_of(table, "m"), "first");
}

void a_table_that_is_full_for_long_stays_as_it_should(void **)
{
    own_table own;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        const std::string model = "model-" + std::to_string(i % 23);
        assert_true(own.add("task-" + std::to_string(i), i % 5 ? task_status::completed : task_status::pending,
                            static_cast<std::size_t>(300 + i * 37 % 3000), model) == stored);
        assert_text(latest_of(own.table, model), "task-" + std::to_string(i));
    }
    std::size_t there = 0;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        there += own.has("task-" + std::to_string(i));
    }
    assert_int_equal(there, own.table.count());
    assert_int_equal(there + own.evicted, 5000);
    while (own.table.evict_one()) {
    }
    assert_int_equal(own.store.free_cells(), own.store.cells());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_final_task_is_evicted_first),
        cmocka_unit_test(the_oldest_of_the_final_tasks_goes_first),
        cmocka_unit_test(a_task_that_is_not_final_stays_while_a_final_one_is_there),
        cmocka_unit_test(room_is_made_for_a_long_document),
        cmocka_unit_test(without_final_tasks_the_oldest_of_the_others_goes),
        cmocka_unit_test(every_task_that_went_is_counted),
        cmocka_unit_test(an_update_makes_room_for_itself_and_does_not_evict_its_own_task),
        cmocka_unit_test(the_one_to_keep_is_kept),
        cmocka_unit_test(routes_are_never_evicted_for_a_task),
        cmocka_unit_test(a_latest_task_that_went_is_known_to_rolloutd_only),
        cmocka_unit_test(an_eviction_of_an_older_task_leaves_the_latest),
        cmocka_unit_test(with_a_models_last_task_its_entry_goes),
        cmocka_unit_test(what_comes_back_after_its_models_entry_went_is_not_the_latest_if_a_later_one_went_too),
        cmocka_unit_test(a_table_that_is_full_for_long_stays_as_it_should),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
