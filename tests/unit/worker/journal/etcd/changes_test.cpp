#include "worker/journal/etcd/changes.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <vector>

namespace {

using namespace rollout::cluster;
using rollout::etcd::key_value;
using rollout::etcd::watch_event;

const keys names("/r/");

watch_event put(const std::string &key, const std::string &value, std::int64_t modified)
{
    return {false, {key, value, 4, modified, 1, 0}};
}


watch_event put_task(const std::string &task_id, std::int64_t modified, unsigned index)
{
    const auto row = rollout::row_of(task_of_model(task_id, "m"), 0);
    return put(names.task(task_id), write_task(row, 1, "w", index), modified);
}


watch_event removal(const std::string &key, std::int64_t modified)
{
    return {true, {key, "", 0, modified, 0, 0}};
}


void changes_of_one_transaction_are_in_the_order_of_their_index(void **)
{
    const auto read = read_events(names, {put_task("a", 10, 2), put_task("b", 10, 0), put_task("c", 10, 1),
                                          put(names.position(), "w 1", 10), put_task("d", 11, 0),
                                          put(names.position(), "w 2", 11)});
    std::string order;
    for (const auto &task : read.changes.tasks) {
        order += task.row.task_id;
    }
    assert_text(order, "bcad");
    assert_int_equal(read.up_to, 11);
    assert_text(read.mark, "w 2");
    assert_text(read.meta, "");
    assert_int_equal(read.faults.size(), 0);
}


void a_task_that_comes_again_is_not_removed(void **)
{
    auto read = read_events(names, {put_task("a", 10, 0), removal(names.task("a"), 11), put_task("a", 12, 0),
                                    removal(names.task("b"), 13), removal(names.task("b"), 14)});
    assert_int_equal(read.changes.tasks.size(), 2);
    assert_int_equal(read.changes.removed.size(), 1);
    assert_text(read.changes.removed[0], "b");
    assert_int_equal(read.up_to, 14);
}


void a_series_is_told_as_it_is_and_one_that_comes_again_is_not_removed(void **)
{
    const std::string packed("x\x9c\0\n", 4);
    auto read = read_events(names, {put(names.series("a"), packed, 10), removal(names.series("b"), 11),
                                    removal(names.series("c"), 12), put(names.series("c"), "c", 13),
                                    put("/r/s/series/a b", "x", 14), removal(names.series("b"), 15)});
    assert_int_equal(read.changes.series.size(), 2);
    assert_text(read.changes.series[0].task_id, "a");
    assert_true(read.changes.series[0].content == packed);
    assert_int_equal(read.changes.removed_series.size(), 1);
    assert_text(read.changes.removed_series[0], "b");
    assert_int_equal(read.faults.size(), 1);
    assert_int_equal(read.changes.removed.size(), 0);
}


void what_is_not_a_task_or_a_model_moves_the_position_only(void **)
{
    const auto meta = write_meta({std::string(32, 'a')});
    auto read = read_events(names, {put(names.leader(), "here", 5), removal(names.leader(), 6),
                                    put(names.losses(), "{}", 7), put("/r/s/of/a/newer/one", "x", 8),
                                    put(names.meta(), meta, 9), removal(names.model("m"), 10)});
    assert_int_equal(read.changes.tasks.size() + read.changes.models.size() + read.changes.removed.size(), 0);
    assert_int_equal(read.up_to, 10);
    assert_text(read.meta, meta);
    assert_false(read.meta_removed);
    read = read_events(names, {removal(names.meta(), 11)});
    assert_true(read.meta_removed);
}


void damaged_entries_are_left_out_with_a_sentence_each(void **)
{
    const auto state = rollout::json_compact(rollout::model_to_json(placed_model("m")).get());
    const auto read = read_entries(names, {{names.task("bad"), "x", 1, 2, 1, 0},
                                           {"/r/s/tasks/a b", "x", 1, 2, 1, 0},
                                           {names.model("bad"), "0 w\n{", 1, 2, 1, 0},
                                           {names.model("m"), write_model(state, "w", 3), 1, 2, 1, 0}});
    assert_int_equal(read.faults.size(), 3);
    assert_holds(read.faults[0], "\"/r/s/tasks/bad\"");
    assert_holds(read.faults[1], "\"/r/s/tasks/a b\"");
    assert_holds(read.faults[2], "\"/r/s/models/bad\"");
    assert_int_equal(read.changes.models.size(), 1);
    assert_int_equal(read.changes.models[0].revision, revision_of(2, 3));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_one_transaction_are_in_the_order_of_their_index),
        cmocka_unit_test(a_task_that_comes_again_is_not_removed),
        cmocka_unit_test(a_series_is_told_as_it_is_and_one_that_comes_again_is_not_removed),
        cmocka_unit_test(what_is_not_a_task_or_a_model_moves_the_position_only),
        cmocka_unit_test(damaged_entries_are_left_out_with_a_sentence_each),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
