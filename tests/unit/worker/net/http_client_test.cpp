#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/http_server.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/net/http_client.hpp"

#include <optional>
#include <string>

namespace {

using rollout::http_answer;
using rollout::http_request;
using rollout::operation_ptr;

struct fixture {
    http_answer send(http_request request)
    {
        std::optional<http_answer> answer;
        const auto sent = client->send(std::move(request), [&](http_answer given) { answer = std::move(given); });
        if (answer) {
            throw std::runtime_error("the callback ran from inside the call");
        }
        loop.run_until([&] { return answer.has_value(); });
        return std::move(*answer);
    }

    http_answer get(const std::string &path)
    {
        http_request request;
        request.url = server.url() + path;
        return send(std::move(request));
    }

    /// Starts a request to which no answer comes, and waits until the server has it.
    operation_ptr hang(std::function<void(http_answer)> done)
    {
        server.on_request = [](const auto &) { return http_server::no_answer(); };
        const auto before = server.asked.size();
        http_request request;
        request.url = server.url() + "/slow";
        auto sent = client->send(std::move(request), std::move(done));
        loop.run_until([&] { return server.asked.size() == before + 1; });
        return sent;
    }

    test_loop loop;
    http_server server{loop.get()};
    std::unique_ptr<rollout::http_client> client = std::make_unique<rollout::http_client>(loop.get());
};

void an_answer_is_its_status_and_its_body(void **)
{
    fixture of;
    of.server.on_request = [](const auto &) { return http_server::answer(409, "not now"); };
    const auto answer = of.get("/v2/models/m/ready?x=1");
    assert_int_equal(answer.status, 409);
    assert_text(answer.body, "not now");
    assert_text(answer.error, "");
    assert_false(answer.may_pass());
    assert_text(of.server.asked.at(0), "GET /v2/models/m/ready?x=1");
}

void a_post_brings_its_body_as_json_and_waits_for_no_leave_to_send_it(void **)
{
    fixture of;
    http_server::request seen;
    of.server.on_request = [&](const http_server::request &request) {
        seen = request;
        return http_server::answer(200, "");
    };
    http_request request;
    request.method = "POST";
    request.url = of.server.url() + "/load";
    request.body = "{\"large\":\"" + std::string(100'000, 'x') + "\"}";
    assert_int_equal(of.send(request).status, 200);
    assert_text(seen.method, "POST");
    assert_true(seen.body == request.body);
    assert_text(seen.header("content-type"), "application/json");
    assert_text(seen.header("expect"), "");
    assert_text(seen.header("user-agent"), "rolloutd");
}

void a_redirect_is_an_answer_like_others(void **)
{
    fixture of;
    of.server.on_request = [&](const auto &) { return http_server::answer(302, "", "Location: /elsewhere\r\n"); };
    assert_int_equal(of.get("/here").status, 302);
    assert_int_equal(of.server.asked.size(), 1);
}

void an_answer_may_be_as_long_as_its_bound_and_fails_for_good_beyond(void **)
{
    fixture of;
    of.server.on_request = [](const auto &) { return http_server::answer(200, std::string(1024, 'x')); };
    http_request request;
    request.url = of.server.url() + "/";
    request.max_answer_bytes = 1024;
    assert_int_equal(of.send(request).body.size(), 1024);
    request.max_answer_bytes = 1023;
    const auto answer = of.send(request);
    assert_int_equal(answer.status, 0);
    assert_text(answer.body, "");
    assert_true(answer.lasting);
    assert_false(answer.may_pass());
    assert_holds(answer.error, of.server.url() + " answered with more than ");
}

void a_refused_connection_may_pass_and_names_the_server_without_its_password(void **)
{
    fixture of;
    of.server.close();
    http_request request;
    request.url = "http://ann:secret@127.0.0.1:" + std::to_string(of.server.port()) + "/v2";
    const auto answer = of.send(request);
    assert_int_equal(answer.status, 0);
    assert_true(answer.may_pass());
    assert_false(answer.timed_out);
    assert_holds(answer.error, of.server.url());
    assert_true(answer.error.find("secret") == std::string::npos);
}

void a_connection_that_breaks_before_or_amid_the_answer_is_no_answer(void **)
{
    for (const char *bytes : {"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"}) {
        fixture of;
        of.server.on_request = [&](const auto &) { return http_server::reply{bytes, false}; };
        const auto answer = of.get("/");
        assert_int_equal(answer.status, 0);
        assert_text(answer.body, "");
        assert_true(answer.may_pass());
        assert_holds(answer.error, of.server.url());
    }
}

void what_is_no_url_of_a_server_is_said_so_and_asked_never_again(void **)
{
    fixture of;
    for (const char *url : {"file:///etc/passwd", "ftp://127.0.0.1/", "", "no url\n"}) {
        http_request request;
        request.url = url;
        const auto answer = of.send(request);
        assert_int_equal(answer.status, 0);
        assert_true(answer.lasting);
        assert_holds(answer.error, "is not one of http or https");
    }
    assert_true(of.server.asked.empty());
}

void a_canceled_request_ends_once_as_canceled(void **)
{
    fixture of;
    int ends = 0;
    http_answer answer;
    const auto sent = of.hang([&](http_answer given) {
        ++ends;
        answer = std::move(given);
    });
    sent->cancel();
    sent->cancel();
    assert_int_equal(ends, 0); // never from inside the call
    of.loop.run_until([&] { return ends != 0; });
    sent->cancel(); // it has ended
    of.server.on_request = [](const auto &) { return http_server::answer(200, ""); };
    assert_int_equal(of.get("/after").status, 200);
    assert_int_equal(ends, 1);
    assert_true(answer.canceled);
    assert_false(answer.may_pass());
}

void a_request_that_nobody_holds_any_more_does_not_call_back(void **)
{
    fixture of;
    bool called = false;
    auto sent = of.hang([&](const http_answer &) { called = true; });
    sent.reset();
    of.server.on_request = [](const auto &) { return http_server::answer(200, ""); };
    assert_int_equal(of.get("/after").status, 200);
    assert_false(called);
}

void a_callback_may_let_go_of_its_operation_and_send_the_next(void **)
{
    fixture of;
    of.server.on_request = [](const auto &) { return http_server::answer(200, ""); };
    http_request request;
    request.url = of.server.url() + "/first";
    operation_ptr sent;
    bool ended = false;
    sent = of.client->send(request, [&](const http_answer &) {
        http_request next;
        next.url = of.server.url() + "/second";
        sent = of.client->send(next, [&](const http_answer &) {
            sent.reset();
            ended = true;
        });
    });
    of.loop.run_until([&] { return ended; });
    assert_int_equal(of.server.asked.size(), 2);
}

void a_closed_client_abandons_what_is_under_way_and_takes_nothing_new(void **)
{
    fixture of;
    bool called = false;
    const auto sent = of.hang([&](const http_answer &) { called = true; });
    of.client->close();
    const auto later = of.client->send({}, [&](const http_answer &) { called = true; });
    later->cancel();
    of.client.reset(); // the operations outlive it
    sent->cancel();
    uv_run(of.loop.get(), UV_RUN_NOWAIT);
    assert_false(called);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_its_status_and_its_body),
        cmocka_unit_test(a_post_brings_its_body_as_json_and_waits_for_no_leave_to_send_it),
        cmocka_unit_test(a_redirect_is_an_answer_like_others),
        cmocka_unit_test(an_answer_may_be_as_long_as_its_bound_and_fails_for_good_beyond),
        cmocka_unit_test(a_refused_connection_may_pass_and_names_the_server_without_its_password),
        cmocka_unit_test(a_connection_that_breaks_before_or_amid_the_answer_is_no_answer),
        cmocka_unit_test(what_is_no_url_of_a_server_is_said_so_and_asked_never_again),
        cmocka_unit_test(a_canceled_request_ends_once_as_canceled),
        cmocka_unit_test(a_request_that_nobody_holds_any_more_does_not_call_back),
        cmocka_unit_test(a_callback_may_let_go_of_its_operation_and_send_the_next),
        cmocka_unit_test(a_closed_client_abandons_what_is_under_way_and_takes_nothing_new),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
