// A task's document as rolloutctl reads it.
#include "ctl/api/task_document.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/ctl/sample_document.hpp"

namespace {

using rollout::task_kind;
using rollout::task_status;
using rollout::ctl::read_task_document;

void a_document_is_read_whole(void **)
{
    const auto task = read_task_document(task_kind::deploy, sample_document).value();
    assert_text(task.task_id, "t-7");
    assert_text(task.model_id, "123");
    assert_true(task.status == task_status::in_progress);
    assert_text(task.created_by, "ann, 10.1.0.7");
    assert_int_equal(task.revision, 7);
    assert_int_equal(task.weight, 25);
    assert_text(task.waits_for, "time");
    assert_int_equal(task.hold_ends_us, sample_hold_ends_us);
    assert_int_equal(task.plan.size(), 3);
    assert_int_equal(task.plan[1].weight, 25);
    assert_int_equal(task.plan[1].hold_s, 60);
    assert_text(task.promote, "auto");
    assert_int_equal(task.steps.size(), 5);
    assert_text(task.steps[3].state, "running");
    assert_non_null(task.gate.get());
    assert_text(task.text, sample_document);
}

void the_words_of_every_dialect_are_understood(void **)
{
    const auto status = [](const std::string &word) {
        return read_task_document(task_kind::deploy, sample_with("\"in_progress\"", "\"" + word + "\""));
    };
    assert_true(status("processing")->status == task_status::in_progress);
    assert_true(status("done")->status == task_status::completed);
    assert_true(status("completed")->status == task_status::completed);
    assert_false(status("dancing").has_value());
}

void what_is_no_document_is_none(void **)
{
    for (const char *text : {"", "[]", "{}", "<html>", R"({"task_id":"t","model_id":"m","status":"pending"})"}) {
        assert_false(read_task_document(task_kind::deploy, text).has_value());
    }
}

void no_text_steers_the_terminal(void **)
{
    const auto task = read_task_document(task_kind::deploy, sample_with("\"ann\"", "\"a\\u001b[2Jb\\nc\"")).value();
    assert_text(task.created_by, "a [2Jb c, 10.1.0.7");
}

void what_is_out_of_range_is_held_in_it(void **)
{
    assert_int_equal(
        read_task_document(task_kind::deploy, sample_with("\"traffic_weight\": 25", "\"traffic_weight\": 70000"))
            ->weight,
        100);
    assert_int_equal(
        read_task_document(task_kind::deploy, sample_with("\"traffic_weight\": 25", "\"traffic_weight\": -1"))
            ->weight,
        0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_read_whole),
        cmocka_unit_test(the_words_of_every_dialect_are_understood),
        cmocka_unit_test(what_is_no_document_is_none),
        cmocka_unit_test(no_text_steers_the_terminal),
        cmocka_unit_test(what_is_out_of_range_is_held_in_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
