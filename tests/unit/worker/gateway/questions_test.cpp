// What the engine asks the gateways: one answer to each question, whoever answers, ends, or does not.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"
#include "worker/gateway/questions.hpp"

#include <chrono>
#include <string>

namespace {

using namespace std::chrono_literals;

/// Two gateways that can be asked.
struct asked_gateways {
    test_loop loop;
    fake_clock time;
    linked_session first{loop};
    linked_session second{loop};
    rollout::questions all{time};
    std::string answer = "none";

    asked_gateways()
    {
        first.link->peer.gateway = "first";
        second.link->peer.gateway = "second";
    }

    rollout::operation_ptr count(const std::vector<rollout::session_ptr> &streams)
    {
        return all.in_flight(streams, "m", {"a", "b"}, 7, [this](std::optional<std::uint64_t> requests) {
            answer = answer == "none" ? (requests ? std::to_string(*requests) : "unknown") : "a second one";
        });
    }
    rollout::operation_ptr count() { return count({first.link, second.link}); }

    rollout::operation_ptr measure(const std::vector<rollout::session_ptr> &streams)
    {
        return all.measure(streams, "m", {""}, {6, 7}, [this](const rollout::gateway_control::measured &by_gateway) {
            std::string names;
            for (const auto &[gateway, traffic] : by_gateway) {
                names += (names.empty() ? "" : ", ") + gateway + ' ' +
                         (traffic.last_minute ? std::to_string(*traffic.last_minute) : "unsaid");
            }
            answer = answer == "none" ? "of " + names : "a second one";
        });
    }
    rollout::operation_ptr measure() { return measure({first.link, second.link}); }

    void say_count(const linked_session &from, int requests, int id = 1)
    {
        all.on_counters(
            *from.link,
            json_of("{\"id\": " + std::to_string(id) + ", \"in_flight\": " + std::to_string(requests) + "}").get());
    }

    void say_measured(const linked_session &from, const std::string &rest)
    {
        all.on_measured(*from.link, json_of("{\"id\": 1, " + rest + "}").get());
    }
};

std::string counters_of(std::uint64_t revision)
{
    return rollout::json_compact(rollout::counters_to_json(rollout::traffic_counters(), revision).get());
}

void counts_of_all_gateways_are_added_up(void **)
{
    asked_gateways gateways;
    const auto question = gateways.count();
    const std::string sample =
        "{\"type\":\"sample\",\"id\":1,\"model_id\":\"m\",\"parts\":[\"a\",\"b\"],\"revision\":7}\n";
    assert_text(gateways.first.heard(), sample);
    assert_text(gateways.second.heard(), sample);
    gateways.say_count(gateways.first, 3);
    gateways.time.settle();
    assert_text(gateways.answer, "none");
    gateways.say_count(gateways.second, 4);
    assert_text(gateways.answer, "none"); // never from inside the call
    gateways.time.settle();
    assert_text(gateways.answer, "7");
}

void a_gateway_counts_once(void **)
{
    asked_gateways gateways;
    const auto question = gateways.count();
    gateways.say_count(gateways.first, 3);
    gateways.say_count(gateways.first, 3);
    gateways.say_count(gateways.second, 1, 2); // of another question
    gateways.time.settle();
    assert_text(gateways.answer, "none");
    gateways.say_count(gateways.second, 4);
    gateways.say_count(gateways.second, 4);
    gateways.time.settle();
    gateways.say_count(gateways.second, 4);
    gateways.time.run_for(10s);
    assert_text(gateways.answer, "7");
}

void a_count_is_unknown_if_a_gateway_cannot_be_asked(void **)
{
    asked_gateways gateways;
    const auto question = gateways.count({gateways.first.link, nullptr, gateways.second.link});
    gateways.time.settle();
    assert_text(gateways.answer, "unknown");
}

void a_count_is_unknown_if_there_is_no_gateway(void **)
{
    asked_gateways gateways;
    const auto question = gateways.count({});
    gateways.time.settle();
    assert_text(gateways.answer, "unknown");
}

void a_count_is_unknown_if_a_link_ends_before_it_answers(void **)
{
    asked_gateways gateways;
    const auto question = gateways.count();
    gateways.say_count(gateways.first, 3);
    gateways.all.on_end(*gateways.first.link); // which has answered
    gateways.time.settle();
    assert_text(gateways.answer, "none");
    gateways.all.on_end(*gateways.second.link);
    gateways.time.settle();
    assert_text(gateways.answer, "unknown");
}

void a_count_is_waited_for_two_seconds(void **)
{
    asked_gateways gateways;
    const auto question = gateways.count();
    gateways.time.run_for(1999ms);
    assert_text(gateways.answer, "none");
    gateways.time.run_for(1ms);
    assert_text(gateways.answer, "unknown");
}

void a_question_that_is_destroyed_is_answered_no_more(void **)
{
    asked_gateways gateways;
    gateways.count().reset();
    gateways.measure().reset();
    gateways.say_count(gateways.first, 3);
    gateways.say_count(gateways.second, 3);
    gateways.time.run_for(10s);
    assert_text(gateways.answer, "none");
}

void a_question_may_be_destroyed_by_its_answer(void **)
{
    asked_gateways gateways;
    rollout::operation_ptr question;
    question = gateways.all.in_flight({}, "m", {""}, 7, [&](std::optional<std::uint64_t>) { question.reset(); });
    gateways.time.settle();
    assert_null(question.get());
    question = gateways.all.measure({}, "m", {""}, {7}, [&](const auto &) { question.reset(); });
    gateways.time.settle();
    assert_null(question.get());
}

void what_is_measured_is_by_gateway(void **)
{
    asked_gateways gateways;
    const auto question = gateways.measure();
    assert_text(gateways.second.heard(),
                "{\"type\":\"measure\",\"id\":1,\"model_id\":\"m\",\"parts\":[\"\"],\"revisions\":[6,7]}\n");
    gateways.say_measured(gateways.second, "\"counters\": [" + counters_of(6) + "," + counters_of(7) + "]");
    gateways.say_measured(gateways.first,
                          "\"counters\": [" + counters_of(6) + "," + counters_of(7) + "], \"last_minute\": 12");
    gateways.time.settle();
    assert_text(gateways.answer, "of first 12, second unsaid");
}

void a_gateway_that_does_not_measure_what_was_asked_for_is_left_out(void **)
{
    asked_gateways gateways;
    const auto question = gateways.measure();
    gateways.say_measured(gateways.first, "\"counters\": [" + counters_of(6) + "," + counters_of(8) + "]");
    gateways.say_measured(gateways.second, "\"counters\": [" + counters_of(6) + "," + counters_of(7) + "]");
    gateways.time.settle();
    assert_text(gateways.answer, "of second unsaid");
}

void who_does_not_measure_within_a_second_or_has_no_link_is_left_out(void **)
{
    asked_gateways gateways;
    const auto question = gateways.measure({nullptr, gateways.first.link, gateways.second.link});
    gateways.say_measured(gateways.first, "\"counters\": [" + counters_of(6) + "," + counters_of(7) + "]");
    gateways.time.run_for(999ms);
    assert_text(gateways.answer, "none");
    gateways.time.run_for(1ms);
    assert_text(gateways.answer, "of first unsaid");
    gateways.say_measured(gateways.second, "\"counters\": []");
    gateways.time.run_for(10s);
    assert_text(gateways.answer, "of first unsaid");
}

void a_measure_does_not_wait_for_a_link_that_has_ended(void **)
{
    asked_gateways gateways;
    const auto question = gateways.measure();
    gateways.all.on_end(*gateways.first.link);
    gateways.all.on_end(*gateways.second.link);
    gateways.time.settle();
    assert_text(gateways.answer, "of ");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_all_gateways_are_added_up),
        cmocka_unit_test(a_gateway_counts_once),
        cmocka_unit_test(a_count_is_unknown_if_a_gateway_cannot_be_asked),
        cmocka_unit_test(a_count_is_unknown_if_there_is_no_gateway),
        cmocka_unit_test(a_count_is_unknown_if_a_link_ends_before_it_answers),
        cmocka_unit_test(a_count_is_waited_for_two_seconds),
        cmocka_unit_test(a_question_that_is_destroyed_is_answered_no_more),
        cmocka_unit_test(a_question_may_be_destroyed_by_its_answer),
        cmocka_unit_test(what_is_measured_is_by_gateway),
        cmocka_unit_test(a_gateway_that_does_not_measure_what_was_asked_for_is_left_out),
        cmocka_unit_test(who_does_not_measure_within_a_second_or_has_no_link_is_left_out),
        cmocka_unit_test(a_measure_does_not_wait_for_a_link_that_has_ended),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
