#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"
#include "worker/journal/sqlite/open_tasks.hpp"

namespace {

using rollout::open_tasks;
using rollout::task_kind;
using rollout::task_row;
using rollout::task_status;
using sequences = open_tasks::sequences;

task_row row_of_task(std::uint64_t sequence, const std::string &model_id, task_status status,
                     task_kind kind = task_kind::deploy)
{
    task_row row;
    row.sequence = sequence;
    row.model_id = model_id;
    row.status = status;
    row.kind = kind;
    return row;
}

void a_task_is_open_from_its_acceptance_to_its_end(void **)
{
    open_tasks open;
    open.note(row_of_task(7, "a", task_status::pending));
    assert_true(open.of(task_kind::deploy, "a") == sequences{7});
    open.note(row_of_task(7, "a", task_status::in_progress));
    assert_true(open.of(task_kind::deploy, "a") == sequences{7});
    open.note(row_of_task(7, "a", task_status::failed));
    assert_true(open.of(task_kind::deploy, "a").empty());
    open.note(row_of_task(7, "a", task_status::failed)); // saved once more
    assert_true(open.of(task_kind::deploy, "a").empty());
}

void each_kind_and_each_model_has_its_own(void **)
{
    open_tasks open;
    open.note(row_of_task(1, "b", task_status::pending));
    open.note(row_of_task(2, "a", task_status::pending, task_kind::remove));
    open.note(row_of_task(3, "a", task_status::pending));
    open.note(row_of_task(4, "b", task_status::pending));
    assert_true(open.of(task_kind::deploy, "a") == sequences{3});
    assert_true(open.of(task_kind::remove, "a") == sequences{2});
    assert_true((open.of(task_kind::deploy, "b") == sequences{1, 4}));
    assert_true(open.of(task_kind::remove, "b").empty());
}

void a_later_task_may_end_first(void **)
{
    open_tasks open;
    for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
        open.note(row_of_task(sequence, "a", task_status::pending));
    }
    open.note(row_of_task(3, "a", task_status::canceled));
    open.note(row_of_task(1, "a", task_status::in_progress));
    assert_true((open.of(task_kind::deploy, "a") == sequences{1, 2}));
}

void after_a_restart_they_are_what_the_file_says(void **)
{
    written_file journal;
    journal.create(task_of_model("t1", "a"));
    journal.create(ended_task("t2", "a", 10));
    journal.create(task_of_model("t3", "a", task_kind::remove));
    auto running = task_of_model("t4", "b");
    running.status = task_status::in_progress;
    journal.create(running);
    const open_tasks open(journal.database);
    assert_true(open.of(task_kind::deploy, "a") == sequences{1});
    assert_true(open.of(task_kind::deploy, "b") == sequences{4});
    assert_true(open.of(task_kind::remove, "a") == sequences{3});
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_open_from_its_acceptance_to_its_end),
        cmocka_unit_test(each_kind_and_each_model_has_its_own),
        cmocka_unit_test(a_later_task_may_end_first),
        cmocka_unit_test(after_a_restart_they_are_what_the_file_says),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
