// The sentences of tasks that wait, and the words and times beside them.
#include "tests/unit/cmocka.hpp"
#include "worker/rollout/hold_detail.hpp"
#include "worker/rollout/waiting_detail.hpp"

#include <set>

namespace {

using rollout::wait_reason;
using rollout::wait_state;

constexpr std::int64_t now_us = 1795536561000000; // 2026-11-24T16:09:21Z
constexpr std::int64_t minute_us = 60000000;
constexpr std::int64_t day_us = 86400000000;

rollout::hold_view a_hold()
{
    return {"Revision 7 has 25 % of the traffic of model 123", now_us, now_us + minute_us, 0};
}

void check(const wait_state &said, const char *reason, std::int64_t ends_us, const char *sentence)
{
    assert_text(rollout::wait_reason_name(said.reason), reason);
    assert_true(said.hold_ends_us == ends_us);
    assert_text(said.sentence, sentence);
}

void a_hold_says_until_when(void **)
{
    check(wait_for_time(a_hold()), "time", now_us + minute_us,
          "Revision 7 has 25 % of the traffic of model 123 until 16:10:21 UTC at the earliest.");
    rollout::hold_view long_one = a_hold();
    long_one.ends_us += day_us;
    check(wait_for_time(long_one), "time", now_us + minute_us + day_us,
          "Revision 7 has 25 % of the traffic of model 123 until 2026-11-25 16:10:21 UTC at the earliest.");
    rollout::hold_view watch = a_hold();
    watch.kept_loaded = 6;
    check(wait_for_time(watch), "time", now_us + minute_us,
          "Revision 7 has 25 % of the traffic of model 123 and is watched until 16:10:21 UTC at the earliest; "
          "revision 6 "
          "stays loaded until then.");
}

void too_few_requests_are_counted_and_what_comes_of_them_is_said(void **)
{
    check(wait_for_requests(a_hold(), 41, 50, now_us + 10 * minute_us, "fail"), "requests", now_us + minute_us,
          "Revision 7 has 25 % of the traffic of model 123 and waits for requests that the gate can judge by: it has "
          "had "
          "at least 40 of 50 requests. It waits until 16:19:21 UTC, then fails (on_no_traffic).");
    const auto goes_on = wait_for_requests(a_hold(), 3, 5, now_us + 10 * minute_us, "promote").sentence;
    assert_true(goes_on.ends_with("it has had at least 3 of 5 requests. It waits until 16:19:21 UTC, then goes on "
                                  "without them (on_no_traffic)."));
}

void a_wait_for_requests_has_few_sentences_however_many_come(void **)
{
    for (const std::uint64_t wanted : {1u, 7u, 19u, 50u, 1000u, 1000000u}) {
        std::set<std::string> said;
        for (std::uint64_t has = 0; has < wanted; has += wanted / 1000 + 1) {
            said.insert(wait_for_requests(a_hold(), has, wanted, now_us, "fail").sentence);
        }
        assert_true(said.size() <= 20);
    }
}

void a_person_is_told_what_to_post(void **)
{
    check(wait_for_person(a_hold(), "t-1", "promote"), "person", now_us + minute_us,
          "Revision 7 has 25 % of the traffic of model 123 and waits for POST /deploy/t-1/promote.");
    check(wait_for_person(a_hold(), "t-1", "resume"), "person", now_us + minute_us,
          "Revision 7 has 25 % of the traffic of model 123 and is paused and waits for POST /deploy/t-1/resume.");
}

void gateways_are_counted(void **)
{
    check(rollout::wait_for_gateways("123", {0, 0}, "", 0, now_us), "gateway", 0,
          "The new route of model 123 waits for the gateways: no gateway is connected.");
    check(rollout::wait_for_gateways("123", {1, 1}, "", 0, now_us), "gateway", 0,
          "The new route of model 123 waits for the gateways: 1 of 1 gateway does not follow it yet.");
    check(
        rollout::wait_for_gateways("123", {3, 2}, "", now_us + minute_us, now_us), "gateway", 0,
        "The new route of model 123 waits for the gateways, until 16:10:21 UTC at the latest: 2 of 3 gateways do not "
        "follow it yet.");
}

void a_gateway_without_a_link_is_named(void **)
{
    check(
        rollout::wait_for_gateways("123", {2, 1}, "gateway 0a1b2c3d has had no link since noon", 0, now_us),
        "gateway", 0,
        "The new route of model 123 waits for the gateways: 1 of 2 gateways does not follow it yet; gateway 0a1b2c3d "
        "has had no link since noon.");
}

void a_place_is_waited_for_by_step_and_revision(void **)
{
    check(rollout::wait_for_permit("retire", 2), "turn", 0,
          "Step retire of revision 2 waits for its turn: as many tasks are worked on as max_concurrent_rollouts "
          "allows.");
}

void requests_in_flight_are_bounded_in_words(void **)
{
    const auto said = [](const std::optional<std::uint64_t> &requests) {
        return rollout::wait_for_drain(6, requests, now_us + minute_us, now_us);
    };
    check(said(1), "requests", 0,
          "Revision 6 gets no more traffic and waits for requests in flight, 1, until 16:10:21 UTC at the latest, "
          "and is "
          "taken away then.");
    assert_true(said(37).sentence.find("for requests in flight, at most 64,") != std::string::npos);
    assert_text(said(37).sentence, said(64).sentence);
    check(said(std::nullopt), "gateway", 0,
          "Revision 6 gets no more traffic and waits for a gateway to say what is in flight on it, until 16:10:21 "
          "UTC at "
          "the latest, and is taken away then.");
}

void a_server_is_named_with_what_it_is_to_do(void **)
{
    check(rollout::wait_for_server("gpu", "load 123__r7", now_us + minute_us, now_us), "server", 0,
          "Waits for the inference server of backend gpu to load 123__r7, until 16:10:21 UTC at the latest.");
}

void a_turn_says_what_it_is_behind(void **)
{
    rollout::turn_view of;
    const auto said = [&of](const char *sentence) { check(rollout::wait_for_turn(of), "turn", 0, sentence); };
    said("The task is accepted and waits for its turn.");
    of.is_full = true;
    said("The task is accepted and waits for its turn: as many rollouts are at work as max_concurrent_rollouts "
         "allows.");
    of.none_may_run = true;
    said("The task is accepted and waits for its turn: max_concurrent_rollouts is 0, which holds all tasks.");
    of.running = "t1";
    of.running_waits_for = wait_reason::person;
    said("The task is accepted and waits for task t1 of the same model, which waits for a person; it is its turn "
         "next.");
    of.behind = "t2";
    said("The task is accepted and waits behind task t2 of the same model, which waits for its turn itself.");
    of = {};
    of.was_begun = true;
    said("The task began before rolloutd was restarted, and waits for its turn.");
}

void servers_that_failed_are_named_the_worst_first(void **)
{
    assert_text(rollout::failed_servers({}), "");
    assert_text(rollout::failed_servers({{"a:1", 0}}), "");
    assert_text(rollout::failed_servers({{"a:1", 0}, {"b:1", 17}}), "; failures by server: b:1 17");
    assert_text(rollout::failed_servers({{"a:1", 1}, {"b:1", 17}, {"c:1", 1}}),
                "; failures by server: b:1 17, a:1 1, c:1 1");
    rollout::gateway_control::server_failures many;
    for (int i = 1; i < 8; ++i) {
        many["a:" + std::to_string(i)] = static_cast<std::uint64_t>(i);
    }
    assert_text(rollout::failed_servers(many), "; failures by server: a:7 7, a:6 6, a:5 5, a:4 4, a:3 3 and others");
}

void what_stays_loaded_is_said_with_the_reason(void **)
{
    assert_text(rollout::stays_loaded({}, "why"), "");
    assert_text(rollout::stays_loaded({7}, "gateway g may still route"),
                "Revision 7 stays loaded until no gateway can route to it: gateway g may still route.");
    assert_text(rollout::stays_loaded({1, 2, 7}, "gateway g may still route"),
                "Revisions 1, 2 and 7 stay loaded until no gateway can route to them: gateway g may still route.");
    assert_text(rollout::stays_on_servers(7, {}), "");
    assert_text(rollout::stays_on_servers(7, {"a:1"}),
                "Revision 7 stays loaded until a:1, which is down, has unloaded it.");
    assert_text(rollout::stays_on_servers(7, {"a:1", "b:1"}),
                "Revision 7 stays loaded until a:1, b:1, which are down, have unloaded it.");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_loaded_is_said_with_the_reason),
        cmocka_unit_test(a_hold_says_until_when),
        cmocka_unit_test(too_few_requests_are_counted_and_what_comes_of_them_is_said),
        cmocka_unit_test(a_wait_for_requests_has_few_sentences_however_many_come),
        cmocka_unit_test(a_person_is_told_what_to_post),
        cmocka_unit_test(gateways_are_counted),
        cmocka_unit_test(a_gateway_without_a_link_is_named),
        cmocka_unit_test(a_place_is_waited_for_by_step_and_revision),
        cmocka_unit_test(requests_in_flight_are_bounded_in_words),
        cmocka_unit_test(a_server_is_named_with_what_it_is_to_do),
        cmocka_unit_test(a_turn_says_what_it_is_behind),
        cmocka_unit_test(servers_that_failed_are_named_the_worst_first),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
