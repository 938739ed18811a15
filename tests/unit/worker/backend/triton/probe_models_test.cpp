#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_json_memory.hpp"
#include "tests/unit/worker/backend/triton/asked_server.hpp"
#include "worker/backend/triton/probe_models.hpp"

namespace {

using kind = rollout::model_status::kind;

struct probed {
    std::vector<rollout::model_status> found;
    int no_index = 0;
};

probed probe_models(asked_server &of, const std::vector<std::string> &models)
{
    probed all;
    bool ended = false;
    const auto operation =
        rollout::probe_models(of.access, {of.server.url(), "server s", models, [&] { ++all.no_index; }},
                              [&](const std::vector<rollout::model_status> &found) {
                                  all.found = found;
                                  ended = true;
                              });
    of.run_until([&] { return ended; });
    return all;
}

void one_look_at_the_index_tells_of_all(void **)
{
    asked_server of;
    of.says(asked_server::index, 200, R"([{"name":"good","state":"READY"},{"name":"in","state":"LOADING"},
        {"name":"out","state":"UNLOADING"},{"name":"bad","state":"UNAVAILABLE","reason":"no such file"},
        {"name":"gone","state":"UNAVAILABLE","reason":"unloaded"}])");
    const auto all = probe_models(of, {"good", "in", "out", "bad", "gone", "never"});
    const kind expected[] = {kind::loaded, kind::moving, kind::moving, kind::lost, kind::lost, kind::lost};
    for (std::size_t i = 0; i < all.found.size(); ++i) {
        assert_true(all.found[i].is == expected[i]);
    }
    assert_text(all.found[3].words, "no such file");
    assert_text(of.story(), "index");
    assert_int_equal(all.no_index, 0);
}

void without_an_index_each_is_asked(void **)
{
    asked_server of;
    of.says("GET /v2/models/a/ready", 200, "").says("GET /v2/models/b/ready", 400, R"({"error":"not ready"})");
    of.says("GET /v2/models/c/ready", 403, "");
    const auto all = probe_models(of, {"a", "b", "c"});
    assert_int_equal(all.no_index, 1);
    assert_true(all.found[0].is == kind::loaded);
    assert_true(all.found[1].is == kind::not_ready);
    assert_text(all.found[1].words, "not ready");
    assert_true(all.found[2].is == kind::unknown);
    assert_holds(all.found[2].words, "server s refused to say whether it is ready: HTTP 403");
}

void a_server_that_does_not_answer_leaves_all_unknown(void **)
{
    for (const int status : {401, 503}) {
        asked_server of;
        of.says(asked_server::index, status, "");
        const auto all = probe_models(of, {"a", "b"});
        assert_int_equal(all.no_index, 0);
        for (const auto &one : all.found) {
            assert_true(one.is == kind::unknown);
            assert_holds(one.words, "server s refused to show its repository index: HTTP " + std::to_string(status));
        }
        assert_text(of.story(), "index");
    }
}

void an_index_for_which_there_is_no_memory_is_not_taken_for_none(void **)
{
    asked_server of;
    of.has("READY");
    probed all;
    {
        const failing_json_memory none;
        all = probe_models(of, {"m"});
    }
    assert_int_equal(all.no_index, 0);
    assert_true(all.found[0].is == kind::unknown);
    assert_holds(all.found[0].words, "the repository index of server s could not be read: ");
    assert_text(of.story(), "index");
}

void a_page_of_a_proxy_is_no_index(void **)
{
    asked_server of;
    of.says(asked_server::index, 200, "<html><title>Sign in</title></html>");
    const auto all = probe_models(of, {"a"});
    assert_true(all.found[0].is == kind::unknown);
    assert_int_equal(all.no_index, 0);
}

void a_server_that_stops_answering_is_not_asked_for_the_rest(void **)
{
    asked_server of;
    of.says("GET /v2/models/a/ready", 200, "");
    const auto answers = of.server.on_request;
    of.server.on_request = [answers](const http_server::request &request) {
        return request.path == "/v2/models/b/ready" ? http_server::reply() : answers(request);
    };
    const auto all = probe_models(of, {"a", "b", "c"});
    assert_true(all.found[0].is == kind::loaded);
    assert_true(all.found[1].is == kind::unknown);
    assert_true(all.found[2].is == kind::unknown);
    assert_holds(all.found[2].words, "server s could not be asked to say whether b is ready");
    assert_text(of.story(), "index ready ready");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(one_look_at_the_index_tells_of_all),
        cmocka_unit_test(without_an_index_each_is_asked),
        cmocka_unit_test(a_server_that_does_not_answer_leaves_all_unknown),
        cmocka_unit_test(an_index_for_which_there_is_no_memory_is_not_taken_for_none),
        cmocka_unit_test(a_page_of_a_proxy_is_no_index),
        cmocka_unit_test(a_server_that_stops_answering_is_not_asked_for_the_rest),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
