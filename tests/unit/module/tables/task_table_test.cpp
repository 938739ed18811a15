#include "common/domain/limits.hpp"
#include "module/tables/task_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/sample_task.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <algorithm>
#include <vector>

namespace {

using rollout::record_store;
using rollout::task_kind;
using rollout::task_record;
using rollout::task_status;
using rollout::task_table;
namespace limits = rollout::limits;

constexpr auto stored = task_table::stored::yes;
constexpr auto stale = task_table::stored::stale;

/// A table in memory of its own.
struct own_table {
    explicit own_table(std::size_t bytes = record_store::min_bytes) : memory(bytes) {}

    table_memory memory;
    record_store store{memory.get()};
    task_table table{store};
};

void a_task_reads_as_it_came(void **)
{
    own_table own;
    const sample_task task = {"task-1",    "model-1",   task_status::in_progress,
                              12345678901, 98765432109, task_kind::remove};
    assert_true(put(own.table, task) == stored);

    read_back got;
    got.found = own.table.by_id(task_kind::remove, "task-1", got.into(), got.task);
    assert_true(got.found == record_store::found::yes);
    assert_true(got.task.kind == task_kind::remove);
    assert_true(got.task.status == task_status::in_progress);
    assert_true(got.task.sequence == 12345678901);
    assert_true(got.task.revision == 98765432109);
    assert_text(got.task.task_id, "task-1");
    assert_text(got.task.model_id, "model-1");
    assert_text(got.task.document, task.document());
    assert_int_equal(own.table.count(), 1);
}

void names_at_their_bounds_come_back(void **)
{
    own_table own;
    sample_task task;
    task.task_id = std::string(limits::task_id_bytes, 't');
    task.model_id = std::string(limits::model_id_bytes, 'm');
    assert_true(put(own.table, task) == stored);
    assert_text(latest_of(own.table, task.model_id), task.task_id);
    assert_text(document_of(own.table, task.task_id), task.document());
    assert_text(document_of(own.table, task.task_id.substr(1)), "(none)");
    assert_text(latest_of(own.table, task.model_id.substr(1)), "(none)");
}

void the_longest_document_comes_back_whole(void **)
{
    own_table own;
    sample_task task;
    task.document_bytes = limits::document_bytes;
    assert_int_equal(task.document().size(), 64 * 1024);
    assert_true(put(own.table, task) == stored);
    assert_true(document_of(own.table, "t") == task.document());
}

void a_deployment_is_no_deletion_and_the_other_way_round(void **)
{
    own_table own;
    assert_true(put(own.table, {"d", "m", task_status::pending, 1, 1, task_kind::deploy}) == stored);
    assert_true(put(own.table, {"r", "m", task_status::pending, 2, 2, task_kind::remove}) == stored);
    assert_holds(document_of(own.table, "d", task_kind::deploy), "\"task_id\":\"d\"");
    assert_text(document_of(own.table, "d", task_kind::remove), "(none)");
    assert_holds(document_of(own.table, "r", task_kind::remove), "\"task_id\":\"r\"");
    assert_text(document_of(own.table, "r", task_kind::deploy), "(none)");
    assert_text(latest_of(own.table, "m", task_kind::deploy), "d");
    assert_text(latest_of(own.table, "m", task_kind::remove), "r");
}

void a_model_with_deployments_only_has_no_latest_deletion(void **)
{
    own_table own;
    assert_true(put(own.table, {"d", "m"}) == stored);
    assert_text(latest_of(own.table, "m", task_kind::remove), "(none)");
    assert_text(latest_of(own.table, "d", task_kind::deploy), "(none)");
    assert_text(document_of(own.table, "m"), "(none)");
}

void a_newer_revision_takes_the_place_of_the_older(void **)
{
    own_table own;
    assert_true(put(own.table, {"t", "m", task_status::pending, 1, 10}) == stored);
    const sample_task newer = {"t", "m", task_status::completed, 1, 11, task_kind::deploy, 5000};
    assert_true(put(own.table, newer) == stored);
    assert_text(document_of(own.table, "t"), newer.document());
    assert_int_equal(own.table.count(), 1);
}

void a_replay_is_dropped(void **)
{
    own_table own;
    const sample_task task = {"t", "m", task_status::completed, 1, 10};
    assert_true(put(own.table, task) == stored);
    std::uint64_t evicted = 0;
    assert_true(put(own.table, {"t", "m", task_status::pending, 1, 9}, evicted) == stale);
    assert_true(put(own.table, {"t", "m", task_status::pending, 1, 0}, evicted) == stale);
    assert_true(put(own.table, {"t", "m", task_status::pending, 1, 10}, evicted) == stale);
    assert_text(document_of(own.table, "t"), task.document());
    assert_int_equal(evicted, 0);
    assert_int_equal(own.table.count(), 1);
}

void updates_in_any_order_end_with_the_newest(void **)
{
    std::vector<std::uint64_t> order = {1, 2, 3, 4, 5};
    do {
        own_table own;
        for (const auto revision : order) {
            put(own.table, {"t", "m", task_status::in_progress, 1, revision});
        }
        assert_holds(document_of(own.table, "t"), "\"revision\":5,");
    } while (std::next_permutation(order.begin(), order.end()));
}

void the_latest_task_is_the_last_accepted_in_whatever_order_they_come(void **)
{
    std::vector<std::uint64_t> order = {1, 2, 3, 4};
    do {
        own_table own;
        for (const auto sequence : order) {
            put(own.table, {"task-" + std::to_string(sequence), "m", task_status::pending, sequence, 10 - sequence});
        }
        assert_text(latest_of(own.table, "m"), "task-4");
    } while (std::next_permutation(order.begin(), order.end()));
}

void a_change_of_an_older_task_does_not_make_it_the_latest(void **)
{
    own_table own;
    put(own.table, {"old", "m", task_status::pending, 1, 1});
    put(own.table, {"new", "m", task_status::pending, 2, 2});
    assert_true(put(own.table, {"old", "m", task_status::completed, 1, 3}) == stored);
    assert_text(latest_of(own.table, "m"), "new");
    assert_true(put(own.table, {"new", "m", task_status::in_progress, 2, 4}) == stored);
    assert_text(latest_of(own.table, "m"), "new");
}

void each_model_has_its_own_latest(void **)
{
    own_table own(256 * 1024);
    for (std::uint64_t i = 0; i < 60; ++i) {
        put(own.table,
            {"task-" + std::to_string(i), "model-" + std::to_string(i % 20), task_status::pending, i, i + 1});
    }
    for (int i = 0; i < 20; ++i) {
        assert_text(latest_of(own.table, "model-" + std::to_string(i)), "task-" + std::to_string(40 + i));
    }
    assert_text(latest_of(own.table, "model-20"), "(none)");
}

void a_table_that_is_cleared_has_forgotten_all_revisions(void **)
{
    own_table own;
    put(own.table, {"t", "m", task_status::completed, 100, 100});
    own.table.clear();
    assert_int_equal(own.table.count(), 0);
    assert_text(document_of(own.table, "t"), "(none)");
    assert_text(latest_of(own.table, "m"), "(none)");
    assert_int_equal(own.store.free_cells(), own.store.cells());

    // Another journal counts from the start again.
    assert_true(put(own.table, {"t", "m", task_status::pending, 1, 1}) == stored);
    assert_text(latest_of(own.table, "m"), "t");
}

void clearing_the_tasks_leaves_other_records(void **)
{
    own_table own;
    put(own.table, {"t", "m"});
    assert_true(own.store.put(rollout::record_map::routes, "m", {"a route"}, rollout::age_list::none));
    own.table.clear();
    assert_text(value_of(own.store, rollout::record_map::routes, "m"), "a route");
}

void a_reader_without_memory_does_not_take_a_task_for_none(void **)
{
    own_table own;
    put(own.table, {"t", "m"});
    task_record task;
    const auto none = [](std::size_t) -> unsigned char * { return nullptr; };
    assert_true(own.table.by_id(task_kind::deploy, "t", none, task) == record_store::found::failed);
    assert_true(own.table.latest(task_kind::deploy, "m", none, task) == record_store::found::failed);
}

void the_place_of_the_status_is_known(void **)
{
    const auto status_in = [](std::string_view document) {
        task_record task;
        task.document = document;
        const auto at = task.status_at();
        return at == std::string_view::npos ? "nowhere" : std::string(document.substr(at, 4));
    };
    assert_text(status_in(R"({"task_id":"t","status":"done","detail":"x"})"), "done");
    assert_text(status_in(R"({"task_id":"status","status":"done","detail":"\"status\":\"fail\"","status2":"x"})"),
                "done");
    assert_text(status_in(R"({"task_id":"t"})"), "nowhere");
    assert_text(status_in(""), "nowhere");
}

std::string text_of(const rollout::task_counts &counts)
{
    std::string text;
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        for (std::size_t status = 0; status < rollout::task_statuses; ++status) {
            if (const auto count = counts.read(kind, static_cast<task_status>(status)); count != 0) {
                text += std::string(kind_name(kind)) + " " +
                        std::string(status_name(static_cast<task_status>(status))) + " " + std::to_string(count) +
                        ";";
            }
        }
    }
    return text;
}

void tasks_are_counted_by_kind_and_status(void **)
{
    table_memory memory;
    record_store store(memory.get());
    rollout::task_counts counts;
    task_table table(store, &counts);
    put(table, {"a", "m", task_status::pending, 1, 1});
    put(table, {"b", "m", task_status::pending, 2, 2});
    put(table, {"c", "m", task_status::failed, 3, 3, task_kind::remove});
    assert_text(text_of(counts), "deploy pending 2;delete failed 1;");

    put(table, {"a", "m", task_status::in_progress, 1, 4});
    put(table, {"a", "m", task_status::in_progress, 1, 4}); // a replay
    put(table, {"b", "m", task_status::completed, 2, 5});
    assert_text(text_of(counts), "deploy in_progress 1;deploy completed 1;delete failed 1;");

    assert_true(table.evict_one());
    assert_text(text_of(counts), "deploy in_progress 1;deploy completed 1;");

    counts.of[0][3] = 1000; // as a writer that was killed may have left them
    std::uint64_t evicted = 0;
    table.rebuild_models(evicted);
    assert_text(text_of(counts), "deploy in_progress 1;deploy completed 1;");

    table.clear();
    assert_text(text_of(counts), "");
}

void a_full_table_counts_what_it_holds(void **)
{
    table_memory memory;
    record_store store(memory.get());
    rollout::task_counts counts;
    task_table table(store, &counts);
    std::uint64_t evicted = 0;
    for (std::uint64_t i = 1; i < 2000; ++i) {
        put(table, {"t" + std::to_string(i), "m", i % 5 == 0 ? task_status::pending : task_status::completed, i, i},
            evicted);
    }
    assert_true(evicted > 100);
    assert_int_equal(counts.read(task_kind::deploy, task_status::pending) +
                         counts.read(task_kind::deploy, task_status::completed),
                     table.count());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_reads_as_it_came),
        cmocka_unit_test(names_at_their_bounds_come_back),
        cmocka_unit_test(the_longest_document_comes_back_whole),
        cmocka_unit_test(a_deployment_is_no_deletion_and_the_other_way_round),
        cmocka_unit_test(a_model_with_deployments_only_has_no_latest_deletion),
        cmocka_unit_test(a_newer_revision_takes_the_place_of_the_older),
        cmocka_unit_test(a_replay_is_dropped),
        cmocka_unit_test(updates_in_any_order_end_with_the_newest),
        cmocka_unit_test(the_latest_task_is_the_last_accepted_in_whatever_order_they_come),
        cmocka_unit_test(a_change_of_an_older_task_does_not_make_it_the_latest),
        cmocka_unit_test(each_model_has_its_own_latest),
        cmocka_unit_test(a_table_that_is_cleared_has_forgotten_all_revisions),
        cmocka_unit_test(clearing_the_tasks_leaves_other_records),
        cmocka_unit_test(a_reader_without_memory_does_not_take_a_task_for_none),
        cmocka_unit_test(the_place_of_the_status_is_known),
        cmocka_unit_test(tasks_are_counted_by_kind_and_status),
        cmocka_unit_test(a_full_table_counts_what_it_holds),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
