#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_json_memory.hpp"
#include "worker/backend/triton/error_text.hpp"
#include "worker/base/format.hpp"

namespace {

using rollout::error_text;
using rollout::http_answer;
using rollout::outcome;

http_answer answer(int status, std::string body)
{
    http_answer made;
    made.status = status;
    made.body = std::move(body);
    return made;
}

outcome::kind kind_of(int status, std::string body)
{
    return rollout::refusal(answer(status, std::move(body)), "server s", "load m").is;
}

void a_json_error_is_its_text(void **)
{
    assert_text(error_text(R"({"error":"failed to load 'm', no version is available"})"),
                "failed to load 'm', no version is available");
    assert_text(error_text(R"({"error":{"code":3,"message":"no"}})"), "no");
    assert_text(error_text(R"({"detail":"Not Found"})"), "Not Found");
    assert_text(error_text(R"({"detail":[{"loc":["body"],"msg":"field required"}]})"),
                R"([{"loc":["body"],"msg":"field required"}])");
    assert_text(error_text(R"("just a string")"), "just a string");
    assert_text(error_text("{}"), "");
    assert_text(error_text(""), "");
}

void an_html_page_is_its_title_or_text(void **)
{
    assert_text(error_text("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>x</body></html>"),
                "502 Bad Gateway");
    assert_text(error_text("<!DOCTYPE html><TITLE> a &amp; b\n&lt;c&gt; </TITLE>"), "a & b <c>");
    assert_text(error_text("<html><head><style>p { color: red }</style><script>x < 1</script></head><body><h1>Not "
                           "here</h1><p>gone &quot;away&quot;</body></html>"),
                "Not here gone \"away\"");
    assert_text(error_text("<html><body>cut <b"), "cut");
    assert_text(error_text("<html><script>never ended"), "");
}

void a_traceback_is_its_last_line(void **)
{
    const std::string traceback = "Traceback (most recent call last):\n  File \"x.py\", line 1, in load\n"
                                  "    raise ValueError(name)\nValueError: no such file: model.onnx\n\n";
    assert_text(error_text(traceback), "ValueError: no such file: model.onnx");
    assert_text(error_text("{\"error\":\"Traceback (most recent call last):\\n File\\nKeyError: 'a'\"}"),
                "KeyError: 'a'");
    assert_text(error_text(traceback + std::string(200000, ' ') + "\nLast: " + std::string(100, 'x')),
                "Last: " + std::string(100, 'x'));
}

void words_are_one_clean_bounded_line(void **)
{
    assert_text(error_text("a\r\nb\tc\x1b[31m\x7f d\n"), "a b c [31m d");
    assert_text(error_text("caf\xC3\xA9 \xFF\xC3"), "caf\xC3\xA9 \xEF\xBF\xBD\xEF\xBF\xBD");
    assert_text(error_text("{\"error\":\"bad \xFF\"}"), "bad \xEF\xBF\xBD");
    // Line separators and marks that turn the direction are no way to forge a log either.
    assert_text(error_text("a\xE2\x80\xA8"
                           "b\xE2\x80\xAE"
                           "c\xC2\x85"
                           "d"),
                "a b c d");
    const std::string words = error_text(std::string(5000000, 'x'));
    assert_text(words, std::string(299, 'x') + "\xE2\x80\xA6");
    assert_text(rollout::clean_text("\xC3\xA9\xC3\xA9\xC3\xA9", 3), "\xC3\xA9\xC3\xA9\xC3\xA9");
    assert_text(rollout::clean_text("\xC3\xA9\xC3\xA9\xC3\xA9 ", 3), "\xC3\xA9\xC3\xA9\xC3\xA9");
    assert_text(rollout::clean_text("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 3), "\xC3\xA9\xC3\xA9\xE2\x80\xA6");
}

void an_error_that_cannot_be_read_for_want_of_memory_is_not_taken_for_plain_text(void **)
{
    assert_true(tells_of_no_json_memory([] { error_text(R"({"error":"no"})"); }));
}

void what_may_pass_is_transient(void **)
{
    assert_true(kind_of(503, R"({"error":"Server not ready"})") == outcome::kind::transient);
    assert_true(kind_of(502, "<html><title>502 Bad Gateway</title></html>") == outcome::kind::transient);
    assert_true(kind_of(504, "") == outcome::kind::transient);
    assert_true(kind_of(429, "") == outcome::kind::transient);
    assert_true(
        kind_of(500,
                R"({"error":"a related model 'm' to a load/unload request is currently loading or unloading"})") ==
        outcome::kind::transient);

    http_answer none;
    none.error = "no connection to http://127.0.0.1:8000 (Connection refused)";
    const outcome unreached = rollout::refusal(none, "server s", "load m");
    assert_true(unreached.is == outcome::kind::transient);
    assert_text(unreached.detail,
                "server s could not be asked to load m: no connection to http://127.0.0.1:8000 (Connection refused)");

    none.error = "http://127.0.0.1:8000 did not answer within 30 s";
    none.timed_out = true;
    const outcome late = rollout::refusal(none, "server s", "load m");
    assert_true(late.is == outcome::kind::transient);
    assert_text(late.detail, "server s was asked to load m, and http://127.0.0.1:8000 did not answer within 30 s");
}

void the_rest_is_permanent(void **)
{
    const outcome refused = rollout::refusal(
        answer(400,
               R"({"error":"unexpected directory name 'a' for model 'b', directory name must equal model name"})"),
        "server s", "load a");
    assert_true(refused.is == outcome::kind::permanent);
    assert_text(refused.detail, "server s refused to load a: HTTP 400, unexpected directory name 'a' for model 'b', "
                                "directory name must equal model name");
    assert_true(kind_of(500, R"({"error":"failed to load 'm', failed to poll from model repository"})") ==
                outcome::kind::permanent);
    assert_true(kind_of(302, "") == outcome::kind::permanent);

    http_answer cut;
    cut.error = "http://127.0.0.1:8000 answered with more than 1.0 MiB";
    cut.lasting = true;
    assert_true(rollout::refusal(cut, "server s", "load m").is == outcome::kind::permanent);

    http_answer canceled;
    canceled.canceled = true;
    assert_true(rollout::refusal(canceled, "server s", "load m").is == outcome::kind::canceled);
}

void what_the_servers_configuration_forbids_comes_with_a_hint(void **)
{
    const outcome poll = rollout::refusal(
        answer(503, R"({"error":"explicit model load / unload is not allowed if polling is enabled"})"), "server s",
        "load m");
    assert_true(poll.is == outcome::kind::permanent);
    assert_holds(poll.detail, "--model-control-mode=explicit");

    const outcome restricted = rollout::refusal(answer(403, ""), "server s", "load m");
    assert_true(restricted.is == outcome::kind::permanent);
    assert_holds(restricted.detail, "HTTP 403 (does the server restrict this API");
}

void a_404_that_does_not_speak_of_the_model_is_a_server_without_the_extension(void **)
{
    const outcome without =
        rollout::repository_refusal(answer(404, R"({"detail":"Not Found"})"), "server s", "load m__r7", "m__r7");
    assert_true(without.is == outcome::kind::permanent);
    assert_holds(without.detail, "no model repository extension");

    const outcome unknown = rollout::repository_refusal(answer(404, R"({"error":"Model m__r7 not found"})"),
                                                        "server s", "load m__r7", "m__r7");
    assert_text(unknown.detail, "server s refused to load m__r7: HTTP 404, Model m__r7 not found");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_json_error_is_its_text),
        cmocka_unit_test(an_html_page_is_its_title_or_text),
        cmocka_unit_test(a_traceback_is_its_last_line),
        cmocka_unit_test(words_are_one_clean_bounded_line),
        cmocka_unit_test(an_error_that_cannot_be_read_for_want_of_memory_is_not_taken_for_plain_text),
        cmocka_unit_test(what_may_pass_is_transient),
        cmocka_unit_test(the_rest_is_permanent),
        cmocka_unit_test(what_the_servers_configuration_forbids_comes_with_a_hint),
        cmocka_unit_test(a_404_that_does_not_speak_of_the_model_is_a_server_without_the_extension),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
