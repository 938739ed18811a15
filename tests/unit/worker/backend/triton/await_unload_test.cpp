#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/backend/triton/asked_server.hpp"
#include "worker/backend/triton/await_unload.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

constexpr const char *unload = "POST /v2/repository/models/m/unload";
constexpr const char *ready = "GET /v2/models/m/ready";

outcome unload_from(asked_server &of, std::function<outcome(const rollout::stop_flag &)> withdraw = nullptr)
{
    return of.run([&](rollout::done_fn done) {
        rollout::unload_request request;
        request.url = of.server.url();
        request.server = "server s";
        request.model = "m";
        request.timeout = 60s;
        request.no_index = [] {};
        request.withdraw = withdraw;
        return rollout::await_unload(of.access, request, std::move(done));
    });
}

void it_is_gone_when_the_index_says_so_and_not_when_the_call_is_answered(void **)
{
    asked_server of;
    of.says(unload, 200, "").has("UNLOADING").has("UNLOADING").has("UNAVAILABLE", "unloaded");
    assert_true(static_cast<bool>(unload_from(of)));
    assert_text(of.story(), "unload index index index");
}

void a_refusal_counts_only_for_a_model_that_is_there(void **)
{
    asked_server gone;
    gone.says(unload, 400, R"({"error":"m is not loaded"})").says(asked_server::index, 200, "[]");
    assert_true(static_cast<bool>(unload_from(gone)));

    asked_server there;
    there.says(unload, 400, R"({"error":"no"})").has("READY");
    const auto ended = unload_from(there);
    assert_true(ended.is == outcome::kind::permanent);
    assert_text(ended.detail, "server s refused to unload m: HTTP 400, no");
}

void a_model_that_is_being_loaded_is_asked_for_again(void **)
{
    asked_server of;
    of.says(unload, 400, R"({"error":"a related model 'm' is currently loading or unloading"})")
        .says(unload, 200, "");
    of.says(asked_server::index, 200, "[]");
    assert_true(static_cast<bool>(unload_from(of)));
    assert_text(of.story(), "unload unload index");
}

void a_server_that_is_away_is_a_failure_that_may_pass(void **)
{
    asked_server of;
    of.says(unload, 503, "");
    assert_true(unload_from(of).is == outcome::kind::transient);
    assert_text(of.story(), "unload");
}

void a_server_that_goes_away_meanwhile_is_not_waited_for(void **)
{
    asked_server of;
    of.says(unload, 200, "").has("UNLOADING").cuts_off(asked_server::index);
    const auto before = of.time.now();
    assert_true(unload_from(of).is == outcome::kind::transient);
    assert_text(of.story(), "unload index index");
    assert_true(of.time.now() - before < 1s);
}

void without_an_index_it_is_gone_when_it_is_not_ready(void **)
{
    asked_server of;
    of.says(unload, 200, "").says(ready, 200, "").says(ready, 404, "");
    assert_true(static_cast<bool>(unload_from(of)));
    assert_text(of.story(), "unload index ready ready");
}

void when_the_time_is_over_it_may_still_pass_and_says_why(void **)
{
    asked_server of;
    of.says(unload, 200, "").has("READY");
    const auto before = of.time.now();
    const auto still = unload_from(of);
    assert_true(still.is == outcome::kind::transient);
    assert_holds(still.detail, "m is still READY on server s after ");
    assert_true(of.time.now() - before == 60s);

    asked_server away;
    away.says(unload, 200, "").says(asked_server::index, 503, "");
    const auto unknown = unload_from(away);
    assert_true(unknown.is == outcome::kind::transient);
    assert_holds(unknown.detail, "whether m is unloaded is not known after ");
}

void a_server_that_polls_is_not_asked_but_loses_sight_of_files_that_it_does_not_read(void **)
{
    asked_server of;
    of.has("LOADING").has("READY").says(asked_server::index, 200, "[]");
    of.says(ready, 200, "").says(ready, 404, "");
    std::string before;
    const auto ended = unload_from(of, [&](const rollout::stop_flag &) {
        before = of.story();
        return outcome::ok();
    });
    assert_true(static_cast<bool>(ended));
    assert_text(before, "index index"); // not while it was being loaded
    // The folder is not in the index any more: only the model itself can say that it is gone.
    assert_text(of.story(), "index index index ready index ready");
}

void files_that_cannot_be_withdrawn_end_it(void **)
{
    asked_server of;
    of.has("READY");
    const auto ended =
        unload_from(of, [](const rollout::stop_flag &) { return outcome::permanent("the disk is gone"); });
    assert_text(ended.detail, "the disk is gone");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_is_gone_when_the_index_says_so_and_not_when_the_call_is_answered),
        cmocka_unit_test(a_refusal_counts_only_for_a_model_that_is_there),
        cmocka_unit_test(a_model_that_is_being_loaded_is_asked_for_again),
        cmocka_unit_test(a_server_that_is_away_is_a_failure_that_may_pass),
        cmocka_unit_test(a_server_that_goes_away_meanwhile_is_not_waited_for),
        cmocka_unit_test(without_an_index_it_is_gone_when_it_is_not_ready),
        cmocka_unit_test(when_the_time_is_over_it_may_still_pass_and_says_why),
        cmocka_unit_test(a_server_that_polls_is_not_asked_but_loses_sight_of_files_that_it_does_not_read),
        cmocka_unit_test(files_that_cannot_be_withdrawn_end_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
