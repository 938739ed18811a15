// Invariant 5 of the design: a writer that is killed at any instruction leaves tables that can be read and written.
#include "module/tables/record_store.hpp"
#include "module/tables/route_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/sample_task.hpp"
#include "tests/unit/module/tables/stepped_writer.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <functional>
#include <map>

namespace {

using rollout::age_list;
using rollout::record_map;
using rollout::record_store;
using rollout::route_table;
using rollout::task_status;
using rollout::task_table;

constexpr auto tasks = record_map::tasks;
constexpr int neighbours = 300; // more than there are buckets: most chains are longer than one

/// What a test expects: each key's value before the write and after it.
struct change {
    std::string before;
    std::string after;
};

std::string name_of(int i)
{
    return "neighbour-" + std::to_string(i);
}

std::string text_of(int i)
{
    return std::string(static_cast<std::size_t>(20 + i % 90), static_cast<char>('a' + i % 26));
}

void fill(record_store &store)
{
    for (int i = 0; i < neighbours; ++i) {
        store.put(tasks, name_of(i), {text_of(i)}, i % 2 ? age_list::active_tasks : age_list::final_tasks);
    }
}

/// All that must hold of a store once it is repaired: nothing torn, nothing lost, no cell twice and none leaked.
void assert_whole(record_store &store, const std::map<std::string, change> &changed)
{
    std::size_t records = 0;
    std::size_t used = 0;
    const auto seen = [&](const std::string &key, const std::string &value) {
        if (value != no_record) {
            ++records;
            used += record_store::cells_for(key.size(), value.size());
        }
    };
    for (int i = 0; i < neighbours; ++i) {
        if (!changed.contains(name_of(i))) {
            assert_text(value_of(store, tasks, name_of(i)), text_of(i));
            seen(name_of(i), text_of(i));
        }
    }
    for (const auto &[key, values] : changed) {
        const std::string value = value_of(store, tasks, key);
        assert_true(value == values.before || value == values.after);
        seen(key, value);
    }
    assert_int_equal(store.count(tasks), records);
    assert_int_equal(store.cells() - store.free_cells(), used);

    // The lists lead to every record once, and all cells can be had again.
    std::size_t listed = 0;
    for (const auto list : {age_list::final_tasks, age_list::active_tasks}) {
        for (std::string key = oldest_of(store, list); !key.empty(); key = oldest_of(store, list)) {
            assert_true(store.erase(tasks, key));
            ++listed;
        }
    }
    assert_int_equal(listed, records);
    assert_int_equal(store.free_cells(), store.cells());
    assert_true(store.put(tasks, "big", {std::string(record_store::max_value_bytes, 'b')}, age_list::none));
}

/// Kills the writer at each instruction of `write`, reads without a repair, repairs and looks at all of it.
void kill_everywhere(const std::function<void(record_store &)> &write, const std::map<std::string, change> &changed)
{
    const shared_block block;
    record_store store(block.get());
    fill(store);
    int states = 0;
    int busy = 0;
    int cut_short = 0;
    const auto ended = step_through(
        block,
        [&store, &write] {
            if (!store.begin_write()) {
                _exit(1);
            }
            write(store);
            store.end_write();
        },
        [&](void *memory) {
            ++states;
            record_store left(memory);
            // A reader needs no repair to be safe: it gets the old value, the new one, or gives up.
            for (const auto &[key, values] : changed) {
                const std::string value = value_of(left, tasks, key);
                busy += value == busy_bucket;
                assert_true(value == values.before || value == values.after || value == busy_bucket);
            }
            std::map<std::string, std::string> all;
            const auto found = left.read_each(
                tasks, [&all](std::string_view key, std::string_view value) { all.emplace(key, value); });
            assert_true(found == record_store::found::yes || found == record_store::found::busy);
            for (int i = 0; found == record_store::found::yes && i < neighbours; ++i) {
                assert_true(changed.contains(name_of(i)) || all[name_of(i)] == text_of(i));
            }
            for (int i = 0; i < neighbours; i += 37) {
                const std::string value = value_of(left, tasks, name_of(i));
                assert_true(changed.contains(name_of(i)) || value == text_of(i) || value == busy_bucket);
            }
            if (!left.begin_write()) {
                ++cut_short;
                left.repair();
            }
            left.end_write();
            assert_true(left.begin_write());
            assert_whole(left, changed);
        });
    if (ended == stepped::not_allowed) {
        _skip(__FILE__, __LINE__);
    }
    assert_true(ended == stepped::to_the_end);
    assert_true(states > 10);
    assert_true(busy > 0);
    assert_int_equal(cut_short, states - 1); // only the last state is that of a writer that came to its end
    for (const auto &[key, values] : changed) {
        assert_text(value_of(store, tasks, key), values.after);
    }
}

void a_new_record_is_there_or_not(void **)
{
    const std::string value(200, 'n');
    kill_everywhere([&](record_store &store) { store.put(tasks, "new", {value}, age_list::final_tasks); },
                    {{"new", {no_record, value}}});
}

void a_replaced_record_is_the_old_or_the_new(void **)
{
    const std::string value(300, 'n');
    kill_everywhere([&](record_store &store) { store.put(tasks, name_of(150), {value}, age_list::final_tasks); },
                    {{name_of(150), {text_of(150), value}}});
}

void an_erased_record_is_there_or_not(void **)
{
    kill_everywhere([](record_store &store) { store.erase(tasks, name_of(77)); },
                    {{name_of(77), {text_of(77), no_record}}});
}

void several_changes_under_one_lock_are_each_whole(void **)
{
    kill_everywhere(
        [](record_store &store) {
            store.erase(tasks, name_of(0));
            store.put(tasks, name_of(1), {"second"}, age_list::active_tasks);
            store.put(tasks, "first", {"first"}, age_list::active_tasks);
        },
        {{name_of(0), {text_of(0), no_record}},
         {name_of(1), {text_of(1), "second"}},
         {"first", {no_record, "first"}}});
}

void a_route_is_the_old_or_the_new_and_never_a_mix(void **)
{
    const shared_block block;
    record_store store(block.get());
    const rollout::route before = {"m", "", rollout::route_target{1, "upstream-1", "m__r1"}, {}, 0};
    const rollout::route after = {"m", "", rollout::route_target{2, "upstream-2", "m__r2"},
                                  rollout::route_target{3, "upstream-3", "m__r3"}, 100};
    assert_true(route_table(store).put(before));
    int old_ones = 0;
    int new_ones = 0;
    const auto look = [&](void *memory) {
        record_store left(memory);
        for (int repaired = 0; repaired < 2; ++repaired) {
            std::string bytes;
            rollout::route_choice choice;
            const auto found = route_table(left).choose(
                {"m", "", "key", false, 0},
                [&bytes](std::size_t size) {
                    bytes.assign(size, '?');
                    return reinterpret_cast<unsigned char *>(bytes.data());
                },
                choice);
            if (found == record_store::found::busy) {
                assert_int_equal(repaired, 0);
            } else {
                assert_true(found == record_store::found::yes);
                const auto &expected = choice.revision == 1 ? *before.blue : *after.green;
                assert_true(choice.revision == expected.revision && choice.upstream == expected.upstream &&
                            choice.model == expected.model);
                ++(choice.revision == 1 ? old_ones : new_ones);
            }
            left.repair();
        }
    };
    const auto ended = step_through(
        block,
        [&] {
            const bool whole = store.begin_write();
            route_table(store).put(after);
            store.end_write();
            if (!whole) {
                _exit(1);
            }
        },
        look);
    if (ended == stepped::not_allowed) {
        _skip(__FILE__, __LINE__);
    }
    assert_true(ended == stepped::to_the_end);
    assert_true(old_ones > 0 && new_ones > 0);
}

void a_full_task_table_is_readable_and_writable_after_a_kill(void **)
{
    const shared_block block;
    record_store store(block.get());
    task_table table(store);
    std::map<std::string, sample_task> there;
    std::uint64_t evicted = 0;
    for (std::uint64_t i = 1; evicted == 0; ++i) {
        const sample_task task = {"task-" + std::to_string(i), "model-" + std::to_string(i % 7),
                                  i % 3 ? task_status::completed : task_status::pending, i, i};
        put(table, task, evicted);
        there[task.task_id] = task;
    }
    sample_task added = {"added", "model-1", task_status::pending, 1000, 1000};
    added.document_bytes = 900;
    const std::string text = added.document();
    int states = 0;
    const auto look = [&](void *memory) {
        ++states;
        record_store left(memory);
        if (!left.begin_write()) {
            left.repair();
        }
        task_table again(left);
        // Every task is whole or gone; at most two had to go for one of this size.
        std::size_t gone = 0;
        for (const auto &[id, task] : there) {
            const std::string document = document_of(again, id);
            assert_true(document == task.document() || document == "(none)");
            gone += document == "(none)";
        }
        assert_true(gone <= 1 + 2); // one of them before the test
        const std::string document = document_of(again, "added");
        assert_true(document == added.document() || document == "(none)");

        // And the table takes what rolloutd sends now.
        assert_true(put(again, {"next", "model-2", task_status::pending, 1001, 1001}) == task_table::stored::yes);
        assert_text(latest_of(again, "model-2"), "next");
    };
    const auto ended = step_through(
        block,
        [&] {
            const bool whole = store.begin_write();
            const bool stored = table.put(record_of(added, text), evicted) == task_table::stored::yes;
            store.end_write();
            if (!whole || !stored) {
                _exit(1);
            }
        },
        look);
    if (ended == stepped::not_allowed) {
        _skip(__FILE__, __LINE__);
    }
    assert_true(ended == stepped::to_the_end);
    assert_true(states > 50);
    assert_text(document_of(table, "added"), added.document());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_new_record_is_there_or_not),
        cmocka_unit_test(a_replaced_record_is_the_old_or_the_new),
        cmocka_unit_test(an_erased_record_is_there_or_not),
        cmocka_unit_test(several_changes_under_one_lock_are_each_whole),
        cmocka_unit_test(a_route_is_the_old_or_the_new_and_never_a_mix),
        cmocka_unit_test(a_full_task_table_is_readable_and_writable_after_a_kill),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
