#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/backend/triton/asked_server.hpp"
#include "worker/backend/triton/await_load.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

constexpr const char *ready = "GET /v2/models/m/ready";

outcome arrive(asked_server &of, std::chrono::milliseconds timeout = 300s, const outcome &put_in = outcome::ok(),
               int *no_index = nullptr)
{
    return of.run([&](rollout::done_fn done) {
        rollout::load_request request;
        request.url = of.server.url();
        request.server = "server s";
        request.model = "m";
        request.timeout = timeout;
        request.no_index = [no_index] {
            if (no_index != nullptr) {
                ++*no_index;
            }
        };
        request.put_in = [put_in](const rollout::stop_flag &) { return put_in; };
        return rollout::await_load(of.access, request, std::move(done));
    });
}

void it_is_there_when_the_index_has_it_as_ready(void **)
{
    asked_server of;
    of.says(asked_server::index, 200, "[]").has("LOADING").has("READY");
    const auto before = of.time.now();
    assert_true(static_cast<bool>(arrive(of)));
    assert_text(of.story(), "index index index");
    assert_true(of.time.now() - before == 150ms); // 50, then 100
}

void nothing_is_asked_if_the_files_cannot_be_put_in(void **)
{
    asked_server of;
    assert_text(arrive(of, 300s, outcome::permanent("the disk is full")).detail, "the disk is full");
    assert_text(of.story(), "");
}

void a_new_failure_counts_at_once(void **)
{
    asked_server of;
    of.has("LOADING").has("UNAVAILABLE", "no such file");
    const auto ended = arrive(of);
    assert_true(ended.is == outcome::kind::permanent);
    assert_text(ended.detail, "server s could not load m: no such file");
}

void a_failure_of_the_first_look_counts_when_it_has_stood_for_longer_than_a_server_waits(void **)
{
    asked_server of;
    of.has("UNAVAILABLE", "an earlier one");
    const auto before = of.time.now();
    assert_text(arrive(of).detail, "server s could not load m: an earlier one");
    assert_true(of.time.now() - before >= 30s);

    asked_server other;
    other.has("UNAVAILABLE", "an earlier one").has("LOADING").has("READY");
    assert_true(static_cast<bool>(arrive(other)));
}

void without_an_index_the_model_itself_is_asked(void **)
{
    asked_server of;
    of.says(ready, 400, "").says(ready, 200, "");
    int no_index = 0;
    assert_true(static_cast<bool>(arrive(of, 300s, outcome::ok(), &no_index)));
    assert_text(of.story(), "index ready ready");
    assert_int_equal(no_index, 1);
}

void a_server_that_cannot_say_is_asked_again_unless_it_forbids_to_ask(void **)
{
    asked_server of;
    of.says(asked_server::index, 503, "").has("READY");
    assert_true(static_cast<bool>(arrive(of)));

    asked_server other;
    other.says(asked_server::index, 401, "");
    const auto ended = arrive(other);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "server s refused to show its repository index: HTTP 401");
}

void when_the_time_is_over_it_says_what_was_seen_last(void **)
{
    asked_server of;
    of.has("LOADING");
    const auto before = of.time.now();
    const auto ended = arrive(of, 5s);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "server s has not loaded m within 5 s: the server's index has it as LOADING");
    assert_true(of.time.now() - before == 5s);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_is_there_when_the_index_has_it_as_ready),
        cmocka_unit_test(nothing_is_asked_if_the_files_cannot_be_put_in),
        cmocka_unit_test(a_new_failure_counts_at_once),
        cmocka_unit_test(a_failure_of_the_first_look_counts_when_it_has_stood_for_longer_than_a_server_waits),
        cmocka_unit_test(without_an_index_the_model_itself_is_asked),
        cmocka_unit_test(a_server_that_cannot_say_is_asked_again_unless_it_forbids_to_ask),
        cmocka_unit_test(when_the_time_is_over_it_says_what_was_seen_last),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
