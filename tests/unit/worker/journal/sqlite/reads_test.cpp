// Questions to the journal, on one connection; lists and changes are tested as the journal answers them (journal_list_test,
// journal_test).
#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"
#include "worker/journal/sqlite/reads.hpp"

#include <optional>
#include <string>
#include <vector>

namespace {

using rollout::task_kind;
using rollout::task_status;
namespace reads = rollout::reads;

std::string ids_of(const std::vector<rollout::task_row> &rows)
{
    std::string line;
    for (const auto &row : rows) {
        line += (line.empty() ? "" : " ") + row.task_id;
    }
    return line;
}

void a_task_is_found_by_its_id_or_not_at_all(void **)
{
    written_file journal;
    journal.create(task_of_model("t1", "a"));
    assert_text(reads::find(journal.database, "t1")->model_id, "a");
    assert_false(reads::find(journal.database, "t2").has_value());
}

void the_latest_is_the_last_that_was_accepted_whether_it_has_ended_or_not(void **)
{
    written_file journal;
    const auto latest = [&](std::uint64_t last_open) {
        const auto found = reads::find_latest(journal.database, task_kind::deploy, "a", last_open);
        return found ? found->task_id : "";
    };
    assert_text(latest(0), "");
    journal.create(task_of_model("waits", "a"));
    assert_text(latest(1), "waits");
    journal.create(ended_task("canceled", "a", 10));
    assert_text(latest(1), "canceled"); // accepted later, and ended earlier
    journal.create(task_of_model("next", "a"));
    assert_text(latest(3), "next");
}

void what_is_unfinished_comes_in_pages_in_the_order_of_acceptance(void **)
{
    written_file journal;
    for (const char *id : {"t1", "t2", "t3"}) {
        journal.create(task_of_model(id, "a"));
    }
    journal.create(task_of_model("t4", "b", task_kind::remove));
    auto running = task_of_model("t5", "b");
    running.status = task_status::in_progress;
    journal.create(running);
    journal.save(ended_task("t2", "a", 10));
    const auto all = reads::unfinished(journal.database, 0, 1 << 20);
    assert_text(ids_of(all.rows), "t1 t3 t4 t5");
    assert_true(all.more);                                      // there may be
    const auto one = reads::unfinished(journal.database, 1, 1); // one, however large
    assert_text(ids_of(one.rows), "t3");
    const auto none = reads::unfinished(journal.database, 5, 1 << 20);
    assert_text(ids_of(none.rows), "");
    assert_false(none.more);
}

void all_models_come_in_pages_with_those_of_which_only_the_number_is_left(void **)
{
    written_file journal;
    for (const char *id : {"c", "a"}) {
        journal.save(placed_model(id));
    }
    rollout::model gone;
    gone.model_id = "b";
    gone.last_revision = 7;
    journal.save(gone);
    const auto first = reads::list_all_models(journal.database, "", 2);
    assert_int_equal(first.models.size(), 2);
    assert_text(first.models[0].model_id, "a");
    assert_int_equal(first.models[1].last_revision, 7);
    assert_true(first.more);
    const auto second = reads::list_all_models(journal.database, "b", 2);
    assert_int_equal(second.models.size(), 1);
    assert_text(second.models[0].model_id, "c");
    assert_false(second.more);
}

void a_list_of_a_models_open_tasks_is_told_which_they_are(void **)
{
    written_file journal;
    journal.create(ended_task("t1", "a", 10));
    journal.create(task_of_model("t2", "a"));
    journal.create(task_of_model("t3", "b"));
    const auto listed = [&](std::optional<task_status> status, std::uint64_t before) {
        const auto page = reads::list(journal.database, {task_kind::deploy, status, "a", before}, 10, 1 << 20, {2});
        assert_false(page.more);
        return ids_of(page.rows);
    };
    assert_text(listed({}, 0), "t2 t1");
    assert_text(listed(task_status::pending, 0), "t2");
    assert_text(listed(task_status::completed, 0), "t1");
    assert_text(listed({}, 2), "t1");

    auto ended = ended_task("t2", "a", 20); // a moment after somebody looked who is open
    journal.save(ended);
    assert_text(listed(task_status::pending, 0), "");
    assert_text(listed({}, 0), "t2 t1");
}

void what_changed_comes_in_the_order_of_the_changes(void **)
{
    written_file journal;
    for (const char *id : {"t1", "t2", "t3"}) {
        journal.create(task_of_model(id, "a"));
    }
    journal.save(ended_task("t1", "a", 10));
    assert_text(ids_of(reads::changes_after(journal.database, 0, 1 << 20)), "t2 t3 t1");
    assert_text(ids_of(reads::changes_after(journal.database, 2, 1 << 20)), "t3 t1");
    assert_text(ids_of(reads::changes_after(journal.database, 0, 1)), "t2"); // one, however large
    assert_text(ids_of(reads::changes_after(journal.database, 4, 1 << 20)), "");
}

void a_model_that_cannot_be_read_is_named_in_a_list_as_at_the_start(void **)
{
    written_file journal;
    journal.save(placed_model("a"));
    journal.save(placed_model("b"));
    journal.database.run("UPDATE models SET state = '{\"blue\":7' WHERE model_id = 'b'");
    for (const bool all : {true, false}) {
        try {
            all ? static_cast<void>(reads::list_all_models(journal.database, "", 10))
                : static_cast<void>(reads::list_models(journal.database, "", 10));
            fail_msg("the entry was read");
        } catch (const rollout::sqlite_error &error) {
            assert_holds(error.what(), "the journal's entry of model b cannot be read");
            assert_true(error.is_permanent());
        }
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_found_by_its_id_or_not_at_all),
        cmocka_unit_test(the_latest_is_the_last_that_was_accepted_whether_it_has_ended_or_not),
        cmocka_unit_test(what_is_unfinished_comes_in_pages_in_the_order_of_acceptance),
        cmocka_unit_test(all_models_come_in_pages_with_those_of_which_only_the_number_is_left),
        cmocka_unit_test(a_list_of_a_models_open_tasks_is_told_which_they_are),
        cmocka_unit_test(what_changed_comes_in_the_order_of_the_changes),
        cmocka_unit_test(a_model_that_cannot_be_read_is_named_in_a_list_as_at_the_start),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
