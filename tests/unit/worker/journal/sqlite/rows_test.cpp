#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_json_memory.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"
#include "worker/journal/sqlite/rows.hpp"

namespace {

using rollout::sqlite_statement;

/// The first entry of the models.
rollout::model first_model(written_file &journal)
{
    sqlite_statement row(journal.database, rollout::select_models(""));
    row.step();
    return rollout::model_at(row);
}

void a_row_is_the_task_or_model_that_was_written(void **)
{
    written_file journal;
    journal.create(ended_task("t1", "a", 7, rollout::task_kind::remove));
    journal.save(placed_model("a"));
    sqlite_statement row(journal.database, rollout::select_tasks("WHERE sequence = 1"));
    assert_true(row.step());
    const auto task = rollout::task_row_at(row);
    assert_text(task.task_id, "t1");
    assert_text(task.model_id, "a");
    assert_true(task.kind == rollout::task_kind::remove);
    assert_true(task.status == rollout::task_status::completed);
    assert_int_equal(task.revision, 1);

    const auto model = first_model(journal);
    assert_text(model.model_id, "a");
    assert_int_equal(model.route_revision, 2);
    assert_int_equal(model.blue->revision, 1);
}

void a_models_entry_that_cannot_be_read_is_named_and_lasts(void **)
{
    written_file journal;
    journal.save(placed_model("a"));
    for (const char *state : {"{", "", "7", "{\"weight\": 200}"}) {
        sqlite_statement(journal.database, "UPDATE models SET state = ?").with(std::string_view(state)).run();
        std::string said = "it was read";
        try {
            first_model(journal);
        } catch (const rollout::sqlite_error &error) {
            said = error.what();
            assert_true(error.is_permanent());
        }
        assert_holds(said, "the journal's entry of model a cannot be read: ");
    }
}

void a_models_entry_is_not_taken_for_damaged_when_memory_is_out(void **)
{
    written_file journal;
    journal.save(placed_model("a"));
    assert_true(tells_of_no_json_memory([&] { first_model(journal); }));
    assert_text(first_model(journal).model_id, "a");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_the_task_or_model_that_was_written),
        cmocka_unit_test(a_models_entry_that_cannot_be_read_is_named_and_lasts),
        cmocka_unit_test(a_models_entry_is_not_taken_for_damaged_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
