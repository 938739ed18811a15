#include "module/api/problem.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::json_ptr;
using rollout::json_text;
using rollout::problem;
using rollout::status_title;

json_ptr parsed(const problem &of)
{
    const std::string text = of.to_json();
    return json_ptr(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, nullptr));
}

void a_problem_has_the_members_of_the_rfc(void **)
{
    problem answer;
    answer.status = 404;
    answer.detail = "There is no such task.";
    assert_text(answer.to_json(),
                R"({"type":"about:blank","title":"Not Found","status":404,"detail":"There is no such task."})");
}

void a_problem_names_the_task_that_may_exist(void **)
{
    problem answer;
    answer.status = 500;
    answer.detail = "It was not confirmed.";
    answer.task_id = "t-1";
    const json_ptr body = parsed(answer);
    assert_text(json_text(body.get(), "task_id"), "t-1");
    assert_int_equal(rollout::json_number(body.get(), "status"), 500);
    assert_text(json_text(body.get(), "title"), "Internal Server Error");
}

void a_problem_points_at_each_member_at_fault(void **)
{
    problem answer;
    answer.status = 422;
    answer.detail = "2 members of the request are at fault.";
    answer.errors = {{"/model_id", "is missing"}, {"", "the body \"as a whole\""}};
    const json_ptr body = parsed(answer);
    assert_text(
        rollout::json_compact(json_object_get(body.get(), "errors")),
        R"([{"pointer":"/model_id","detail":"is missing"},{"pointer":"","detail":"the body \"as a whole\""}])");
}

void when_to_ask_again_is_no_part_of_the_body(void **)
{
    problem answer;
    answer.status = 503;
    answer.detail = "away";
    answer.retry_after_s = 5;
    assert_text(answer.to_json(),
                R"({"type":"about:blank","title":"Service Unavailable","status":503,"detail":"away"})");
}

void a_detail_may_hold_any_text(void **)
{
    problem answer;
    answer.status = 400;
    answer.detail = std::string("caf\xC3\xA9 \"q\" \\ \n </script> ") + '\0' + " end";
    assert_true(json_text(parsed(answer).get(), "detail") == answer.detail);
}

void a_title_is_the_status_own(void **)
{
    constexpr struct {
        int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (const auto &[status, title] : titles) {
        assert_text(status_title(status), title);
    }
}

void a_status_without_words_of_its_own_has_those_of_its_class(void **)
{
    // RFC 9110, section 15: an unknown code is read as the x00 of its class.
    assert_text(status_title(499), "Bad Request");
    assert_text(status_title(599), "Internal Server Error");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_has_the_members_of_the_rfc),
        cmocka_unit_test(a_problem_names_the_task_that_may_exist),
        cmocka_unit_test(a_problem_points_at_each_member_at_fault),
        cmocka_unit_test(when_to_ask_again_is_no_part_of_the_body),
        cmocka_unit_test(a_detail_may_hold_any_text),
        cmocka_unit_test(a_title_is_the_status_own),
        cmocka_unit_test(a_status_without_words_of_its_own_has_those_of_its_class),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
