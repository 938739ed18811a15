#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/http_server.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/artifact/download.hpp"

#include <optional>
#include <string>

#include <unistd.h>

namespace {

using rollout::outcome;

constexpr const char *sha256_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

struct fixture {
    fixture()
    {
        request.source = server.url() + "/models/m.onnx?key=secret";
        request.allow = {server.url() + "/models/"};
        request.file = folder / "m.partial";
        request.max_bytes = 1000;
    }

    /// On a thread, as the loop has the server.
    outcome download()
    {
        std::optional<outcome> ended;
        const auto work = rollout::run_on_thread(
            loop.get(),
            [this](const rollout::stop_flag &stop) { return rollout::download(request, &progress, stop, file); },
            [&](const outcome &how) { ended = how; });
        loop.run_until([&] { return ended.has_value(); });
        return *ended;
    }

    void answers(std::function<http_server::reply(const http_server::request &)> with)
    {
        server.on_request = std::move(with);
    }

    std::string text() const { return folder.read("m.partial"); }
    bool left_nothing() const { return !folder.has("m.partial"); }

    temporary_folder folder;
    test_loop loop;
    http_server server{loop.get()};
    rollout::download_request request;
    rollout::fetch_progress progress;
    rollout::unique_fd file;
};

void a_file_is_brought_whole_and_open(void **)
{
    fixture of;
    of.answers([](const auto &) { return http_server::answer(200, "abc"); });
    of.request.sha256 = sha256_of_abc;
    assert_true(static_cast<bool>(of.download()));
    assert_text(of.text(), "abc");
    assert_true(static_cast<bool>(of.file));
    assert_int_equal(of.progress.done_bytes, 3);
    assert_int_equal(of.progress.total_bytes, 3);
    assert_text(of.server.asked.at(0), "GET /models/m.onnx?key=secret");
}

void a_checksum_that_does_not_fit_leaves_nothing(void **)
{
    fixture of;
    of.answers([](const auto &) { return http_server::answer(200, "abd"); });
    of.request.sha256 = sha256_of_abc;
    const auto ended = of.download();
    assert_true(ended.is == outcome::kind::permanent);
    assert_true(of.left_nothing());
    assert_int_equal(of.server.asked.size(), 1);
}

void a_connection_that_breaks_is_followed_by_a_request_for_the_rest(void **)
{
    fixture of;
    of.request.sha256 = sha256_of_abc;
    std::string range;
    std::string validator;
    of.answers([&](const http_server::request &request) -> http_server::reply {
        if (request.header("range").empty()) {
            return {"HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 3\r\n\r\na", false};
        }
        range = request.header("range");
        validator = request.header("if-range");
        return http_server::answer(206, "bc", "Content-Range: bytes 1-2/3\r\nETag: \"one\"\r\n");
    });
    assert_true(static_cast<bool>(of.download()));
    assert_text(of.text(), "abc");
    assert_text(range, "bytes=1-");
    assert_text(validator, "\"one\"");
}

void the_next_attempt_goes_on_where_one_ended_if_a_checksum_can_judge_it(void **)
{
    fixture of;
    of.request.sha256 = sha256_of_abc;
    of.folder.write("m.partial", "ab");
    of.answers([](const http_server::request &request) {
        return request.header("range") == "bytes=2-" ? http_server::answer(206, "c", "Content-Range: bytes 2-2/3\r\n")
                                                     : http_server::answer(500, "");
    });
    assert_true(static_cast<bool>(of.download()));
    assert_text(of.text(), "abc");
}

void what_an_earlier_attempt_left_of_another_file_is_brought_anew(void **)
{
    fixture of;
    of.request.sha256 = sha256_of_abc;
    of.folder.write("m.partial", "xx");
    of.answers([](const http_server::request &request) {
        return request.header("range").empty() ? http_server::answer(200, "abc")
                                               : http_server::answer(206, "c", "Content-Range: bytes 2-2/3\r\n");
    });
    assert_true(static_cast<bool>(of.download()));
    assert_text(of.text(), "abc");
}

void without_a_checksum_nothing_is_built_upon_what_was_there(void **)
{
    fixture of;
    of.folder.write("m.partial", "ab");
    std::string range = "none was asked";
    of.answers([&](const http_server::request &request) {
        range = request.header("range");
        return http_server::answer(200, "abc");
    });
    assert_true(static_cast<bool>(of.download()));
    assert_text(range, "");
    assert_text(of.text(), "abc");
}

void a_server_that_is_busy_may_pass_and_one_that_has_it_not_does_not(void **)
{
    for (const int status : {408, 429, 500, 503}) {
        fixture of;
        of.answers([&](const auto &) { return http_server::answer(status, "later"); });
        assert_true(of.download().is == outcome::kind::transient);
    }
    for (const int status : {401, 403, 404}) {
        fixture of;
        of.answers([&](const auto &) { return http_server::answer(status, "no"); });
        const auto ended = of.download();
        assert_true(ended.is == outcome::kind::permanent);
        assert_text(ended.detail, of.server.url() + "/models/m.onnx answered " + std::to_string(status));
        assert_true(of.left_nothing());
    }
}

void a_file_over_its_bound_is_refused_whether_its_length_is_told_or_not(void **)
{
    fixture told;
    told.answers([](const auto &) { return http_server::answer(200, std::string(1001, 'x')); });
    const auto ended = told.download();
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "(artifacts.max_bytes)");
    assert_true(told.left_nothing());

    fixture untold;
    untold.answers([](const auto &) {
        return http_server::reply{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(1001, 'x'), false};
    });
    assert_holds(untold.download().detail, "(artifacts.max_bytes)");
    assert_true(untold.left_nothing());
}

void a_redirect_is_followed_to_allowed_places_alone(void **)
{
    fixture of;
    std::string to = "n.onnx";
    of.answers([&](const http_server::request &request) {
        return request.path.starts_with("/models/m.onnx")
                   ? http_server::answer(302, "a page", "Location: " + to + "\r\n")
                   : http_server::answer(200, "abc");
    });
    assert_true(static_cast<bool>(of.download()));
    assert_text(of.text(), "abc");

    to = of.server.url() + "/private/n.onnx";
    const auto ended = of.download();
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "redirects to a URL that is not allowed: ");
    assert_text(of.server.asked.back(), "GET /models/m.onnx?key=secret");

    to = "m.onnx";
    assert_holds(of.download().detail, "redirects more than 5 times");
}

void a_source_under_no_allowed_prefix_is_not_asked_for(void **)
{
    fixture of;
    of.request.source = of.server.url() + "/private/m.onnx";
    const auto ended = of.download();
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "is not under an allowed prefix");
    assert_true(of.server.asked.empty());
}

void a_cancel_ends_it_and_keeps_what_a_checksum_can_judge(void **)
{
    for (const bool has_sum : {true, false}) {
        fixture of;
        of.request.sha256 = has_sum ? sha256_of_abc : "";
        of.answers([](const auto &) -> http_server::reply {
            return {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true};
        });
        std::optional<outcome> ended;
        const auto work = rollout::run_on_thread(
            of.loop.get(),
            [&](const rollout::stop_flag &stop) {
                return rollout::download(of.request, &of.progress, stop, of.file);
            },
            [&](const outcome &how) { ended = how; });
        of.loop.run_until([&] { return !of.server.asked.empty(); });
        while (of.progress.done_bytes != 2) {
            uv_run(of.loop.get(), UV_RUN_NOWAIT);
        }
        work->cancel();
        of.loop.run_until([&] { return ended.has_value(); });
        assert_true(ended->is == outcome::kind::canceled);
        assert_text(of.text(), has_sum ? "ab" : "");
        assert_true(of.left_nothing() != has_sum);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_brought_whole_and_open),
        cmocka_unit_test(a_checksum_that_does_not_fit_leaves_nothing),
        cmocka_unit_test(a_connection_that_breaks_is_followed_by_a_request_for_the_rest),
        cmocka_unit_test(the_next_attempt_goes_on_where_one_ended_if_a_checksum_can_judge_it),
        cmocka_unit_test(what_an_earlier_attempt_left_of_another_file_is_brought_anew),
        cmocka_unit_test(without_a_checksum_nothing_is_built_upon_what_was_there),
        cmocka_unit_test(a_server_that_is_busy_may_pass_and_one_that_has_it_not_does_not),
        cmocka_unit_test(a_file_over_its_bound_is_refused_whether_its_length_is_told_or_not),
        cmocka_unit_test(a_redirect_is_followed_to_allowed_places_alone),
        cmocka_unit_test(a_source_under_no_allowed_prefix_is_not_asked_for),
        cmocka_unit_test(a_cancel_ends_it_and_keeps_what_a_checksum_can_judge),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
