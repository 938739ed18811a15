#include "worker/journal/etcd/import_batch.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <string>

namespace {

using namespace rollout::cluster;
using rollout::past_write;
using rollout::replica_task;

const keys names("/r/");

/// A task's creation or change: by whether `at` is its sequence.
past_write write_of(std::uint64_t at, const std::string &task_id, std::uint64_t sequence, std::uint64_t revision)
{
    auto row = rollout::row_of(task_of_model(task_id, "m"), revision);
    row.sequence = sequence;
    row.revision = revision;
    if (at == sequence && revision > sequence) {
        row.document.clear();
    }
    return {at, replica_task{row, 7}, {}};
}


past_write with_model(past_write of, const std::string &model_id)
{
    of.models.push_back(
        {model_id, of.at, rollout::json_compact(rollout::model_to_json(placed_model(model_id)).get())});
    return of;
}


/// The task as it is read after the batch was put at that revision of etcd's.
task_record read_of(const import_batch &batch, const std::string &task_id, std::int64_t created,
                    std::int64_t modified)
{
    for (const auto &put : batch.puts) {
        if (put.key == names.task(task_id)) {
            return *read_task({put.key, put.value, created, modified, 1, 0}, task_id);
        }
    }
    fail_msg("no task %s", task_id.c_str());
    return {};
}


void writes_have_the_indexes_of_their_order(void **)
{
    const std::deque<past_write> writes{write_of(10, "t1", 10, 10), write_of(11, "t2", 11, 11),
                                        with_model(write_of(15, "t0", 3, 15), "m")};
    creation_indexes known;
    known.add(2, 9);
    known.add(3, 77);
    known.add(4, 5);
    const auto batch = make_import_batch(names, writes, known, "w", {});
    assert_int_equal(batch.writes, 3);
    assert_int_equal(batch.puts.size(), 4);
    const auto first = read_of(batch, "t1", 50, 50);
    assert_int_equal(first.row.sequence, revision_of(50, 0));
    assert_int_equal(first.row.revision, revision_of(50, 0));
    assert_int_equal(first.updated_us, 7);
    assert_text(first.row.document, writes[0].task->row.document);
    assert_true(rollout::is_new(read_of(batch, "t2", 50, 50).row));
    const auto changed = read_of(batch, "t0", 40, 50);
    assert_int_equal(changed.row.sequence, revision_of(40, 77));
    assert_int_equal(changed.row.revision, revision_of(50, 2));
    const auto &model = batch.puts.back();
    assert_int_equal(read_model({model.key, model.value, 50, 50, 1, 0}, "m")->revision, revision_of(50, 2));
}


void a_task_that_changes_in_its_batch_is_put_once(void **)
{
    const std::deque<past_write> writes{write_of(1, "t1", 1, 3), write_of(2, "t2", 2, 4), write_of(3, "t1", 1, 3)};
    const auto batch = make_import_batch(names, writes, {}, "w", {});
    assert_int_equal(batch.puts.size(), 2);
    const auto first = read_of(batch, "t1", 50, 50);
    assert_int_equal(first.row.sequence, revision_of(50, 0));
    assert_int_equal(first.row.revision, revision_of(50, 2));
    assert_text(first.row.document, writes[2].task->row.document);
    // That which changes later has no document yet, and its index is told.
    assert_text(read_of(batch, "t2", 50, 50).row.document, "{}");
    assert_int_equal(batch.created.size(), 1);
    assert_int_equal(batch.created[0].first, 2);
    assert_int_equal(batch.created[0].second, 1);
}


void a_batch_is_bounded(void **)
{
    std::deque<past_write> writes;
    for (std::uint64_t i = 1; i <= 300; ++i) {
        writes.push_back(write_of(i, "t" + std::to_string(i), i, i));
    }
    assert_int_equal(make_import_batch(names, writes, {}, "w", {}).writes, 120);
    assert_int_equal(make_import_batch(names, writes, {}, "w", {.puts = 7}).writes, 7);
    const auto small = make_import_batch(names, writes, {}, "w", {.bytes = 2000});
    std::size_t bytes = 0;
    for (const auto &put : small.puts) {
        bytes += put.key.size() + put.value.size();
    }
    assert_true(small.writes > 1 && bytes <= 2000 && bytes > 1500);
    // One alone is never too large, and a write is not torn apart.
    assert_int_equal(make_import_batch(names, writes, {}, "w", {.bytes = 1}).writes, 1);
    writes.clear();
    writes.push_back(write_of(1, "t1", 1, 1));
    writes.push_back(with_model(write_of(5, "t2", 0, 5), "m"));
    assert_int_equal(make_import_batch(names, writes, {}, "w", {.puts = 2}).writes, 1);
    // The indexes have a byte.
    writes.clear();
    for (std::uint64_t i = 1; i <= 300; ++i) {
        writes.push_back(i <= 150 ? write_of(i, "t" + std::to_string(i), i, i + 150)
                                  : write_of(i, "t" + std::to_string(i - 150), i - 150, i));
    }
    assert_int_equal(make_import_batch(names, writes, {}, "w", {.puts = 1000}).writes, 256);
}


void indexes_are_found_by_the_sequence(void **)
{
    creation_indexes known;
    assert_int_equal(known.find(1), 0);
    known.add(1, 255);
    known.add(3, 0);
    known.add((std::uint64_t{1} << 55), 17);
    assert_int_equal(known.find(1), 255);
    assert_int_equal(known.find(2), 0);
    assert_int_equal(known.find(3), 0);
    assert_int_equal(known.find(std::uint64_t{1} << 55), 17);
    assert_int_equal(known.find(UINT64_MAX >> 8), 0);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(writes_have_the_indexes_of_their_order),
        cmocka_unit_test(a_task_that_changes_in_its_batch_is_put_once),
        cmocka_unit_test(a_batch_is_bounded),
        cmocka_unit_test(indexes_are_found_by_the_sequence),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
