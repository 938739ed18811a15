#include "worker/remote_verb.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace rollout;

void a_verb_comes_as_it_was_sent(void **)
{
    const steer_request sent{task_kind::remove, "t-1", task_verb::retry, "t-2", {"10.0.0.9", "ann", "CN=ann"},
                             {{7, 8}}};
    const auto come = parse_remote_verb(text_of(sent));
    assert_true(come.has_value());
    assert_true(come->kind == sent.kind && come->verb == sent.verb && come->by == sent.by);
    assert_text(come->task_id, "t-1");
    assert_text(come->new_task_id, "t-2");
    assert_true(come->only_at == sent.only_at);
}

void an_accepted_verb_brings_its_task(void **)
{
    task_row row;
    row.sequence = 513;
    row.revision = UINT64_C(9007199254740995);
    row.kind = task_kind::deploy;
    row.status = task_status::in_progress;
    row.task_id = "t";
    row.model_id = "m";
    row.document = R"({"detail":"a \"quoted\" word"})";
    request_answer answer;
    answer.task = &row;
    answer.created = true;
    const auto come = parse_remote_answer(text_of(answer));
    assert_true(come.has_value() && come->row.has_value() && come->created);
    assert_int_equal(come->row->sequence, row.sequence);
    assert_int_equal(come->row->revision, row.revision);
    assert_true(come->row->kind == row.kind && come->row->status == row.status);
    assert_text(come->row->task_id, row.task_id.c_str());
    assert_text(come->row->model_id, row.model_id.c_str());
    assert_text(come->row->document, row.document.c_str());
    assert_true(come->view().task == &*come->row);
}

void a_refused_verb_says_why(void **)
{
    request_answer answer;
    answer.refused = {409, "Task \"t\" is not paused.", {{"/task_id", "is taken"}, {"/x", "y"}}, 3};
    const auto come = parse_remote_answer(text_of(answer));
    assert_true(come.has_value() && !come->row);
    assert_null(come->view().task);
    assert_int_equal(come->refused.status, 409);
    assert_text(come->refused.detail, "Task \"t\" is not paused.");
    assert_int_equal(come->refused.errors.size(), 2);
    assert_text(come->refused.errors[0].pointer, "/task_id");
    assert_text(come->refused.errors[1].detail, "y");
    assert_int_equal(come->refused.retry_after_s, 3);
}

void what_another_version_or_nobody_wrote_is_refused(void **)
{
    for (const char *text : {"", "{", "[]", "7", "{}", R"({"kind":"deploy","verb":"explode","task_id":"t"})",
                             R"({"kind":"x","verb":"cancel","task_id":"t"})"}) {
        assert_false(parse_remote_verb(text).has_value());
    }
    assert_true(parse_remote_verb(R"({"kind":"deploy","verb":"cancel","task_id":"t","more":[1]})").has_value());
    for (const char *text : {"", "{", "[]", "{}", R"({"task":{}})", R"({"task":7})", R"({"status":200})",
                             R"({"status":"503"})", R"({"task":{"kind":"deploy","status":"odd"}})"}) {
        assert_false(parse_remote_answer(text).has_value());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_verb_comes_as_it_was_sent),
        cmocka_unit_test(an_accepted_verb_brings_its_task),
        cmocka_unit_test(a_refused_verb_says_why),
        cmocka_unit_test(what_another_version_or_nobody_wrote_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
