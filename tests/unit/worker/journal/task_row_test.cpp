#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_json_memory.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/journal.hpp"

namespace {

using rollout::row_of;
using rollout::task_of;

void a_task_is_read_from_its_row_as_it_was_written(void **)
{
    auto written = ended_task("t1", "a", 7, rollout::task_kind::remove);
    written.sequence = 3;
    const auto row = row_of(written, 9);
    assert_int_equal(row.revision, 9);
    assert_text(row.task_id, "t1");
    const auto read = task_of(row);
    assert_int_equal(read->sequence, 3);
    assert_int_equal(read->revision, 9);
    assert_true(read->kind == rollout::task_kind::remove);
    assert_true(read->status == rollout::task_status::completed);
    assert_int_equal(read->updated_us, 7);
}

void a_document_that_cannot_be_read_is_no_task(void **)
{
    auto row = row_of(task_of_model("t1", "a"), 1);
    for (const char *document : {"", "{", "[]", "{}", "null"}) {
        row.document = document;
        assert_false(task_of(row).has_value());
    }
}

void a_document_is_not_taken_for_damaged_when_memory_is_out(void **)
{
    const auto row = row_of(task_of_model("t1", "a"), 1);
    assert_true(tells_of_no_json_memory([&] { task_of(row); }));
    assert_true(task_of(row).has_value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_read_from_its_row_as_it_was_written),
        cmocka_unit_test(a_document_that_cannot_be_read_is_no_task),
        cmocka_unit_test(a_document_is_not_taken_for_damaged_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
