// What is said of an answer that is not what was asked for.
#include "ctl/api/http_fault.hpp"
#include "ctl/api/problem_text.hpp"
#include "tests/unit/cmocka.hpp"

#include <cerrno>

namespace {

using rollout::ctl::http_answer;
using rollout::ctl::settings;

const settings here{.url = "https://gateway.example"};

std::string text_of(const http_answer &answer)
{
    const auto error = error_of(answer, here);
    return std::to_string(static_cast<int>(error.code())) + ' ' + error.what();
}

http_answer problem(long status, const std::string &members = "")
{
    return {.status = status,
            .content_type = "application/problem+json",
            .body = R"({"detail": "The gateway's words.")" + members + "}"};
}

http_answer page(long status, const std::string &body = "<html>")
{
    return {.status = status, .content_type = "text/html", .body = body};
}

void a_problem_speaks_for_itself(void **)
{
    assert_text(text_of(problem(404)), "5 The gateway's words.");
    assert_text(text_of(problem(409)), "6 The gateway's words.");
    assert_text(text_of(problem(403)), "6 The gateway's words.");
    assert_text(text_of(problem(429)), "6 The gateway's words.");
    assert_text(text_of(problem(422)), "2 The gateway's words.");
    assert_text(text_of(problem(503)), "7 The gateway's words.");
    assert_text(text_of(problem(500)), "7 The gateway's words.");
}

void several_members_at_fault_are_all_named(void **)
{
    assert_text(text_of(problem(422, R"(, "errors": [{"pointer": "/config/a", "detail": "is wrong"},
                                                      {"parameter": "limit", "detail": "is too"}])")),
                "2 The gateway's words. /config/a is wrong limit is too");
}

void what_nginx_answers_itself_says_what_to_do(void **)
{
    assert_holds(text_of(page(401)), "6 The gateway at https://gateway.example asks for a user and a password.");
    assert_holds(text_of(page(403)), "6 The gateway at https://gateway.example does not let you do this");
    assert_holds(text_of(page(400, "<center>The SSL certificate error</center>")), "6 The gateway at");
    assert_holds(text_of(page(502)), "7 A proxy in front of the gateway");
}

void what_is_no_gateway_is_named(void **)
{
    assert_text(text_of(page(404)),
                "7 https://gateway.example is not a Rollout gateway's API: it answers HTTP 404 with "
                "text/html. Check --url, and that a location with rollout_api has this route.");
    assert_holds(text_of(page(200)), "is not a Rollout gateway's API");
    assert_holds(text_of({.status = 404, .content_type = "application/problem+json", .body = "{"}),
                 "7 https://gateway.example is not a Rollout gateway's API");
}

void no_answer_says_why(void **)
{
    const auto said = [](CURLcode code, std::string_view words = "", int error = 0) {
        return rollout::ctl::describe_fault(code, words, error, here, std::chrono::seconds(30));
    };
    assert_text(said(CURLE_COULDNT_CONNECT, "x", ECONNREFUSED),
                "No gateway answers at https://gateway.example: Connection refused. Start nginx, or name the gateway "
                "with --url.");
    assert_text(
        said(CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate has expired"),
        "The certificate of https://gateway.example is not accepted: certificate has expired. Renew it, or name the "
        "authority that has signed it with --cacert.");
    assert_holds(said(CURLE_OPERATION_TIMEDOUT), "did not answer within 30 s");
    for (int code = 1; code < CURL_LAST; ++code) {
        const auto text = said(static_cast<CURLcode>(code));
        assert_true(text.size() > 20 && text.ends_with('.'));
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_speaks_for_itself),
        cmocka_unit_test(several_members_at_fault_are_all_named),
        cmocka_unit_test(what_nginx_answers_itself_says_what_to_do),
        cmocka_unit_test(what_is_no_gateway_is_named),
        cmocka_unit_test(no_answer_says_why),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
