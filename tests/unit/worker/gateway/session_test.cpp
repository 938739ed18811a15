// A worker process's connection: frames in and out, whatever the peer does, and one end.
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/quiet.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"

#include <string>
#include <utility>
#include <vector>

namespace {

using rollout::session_ptr;

/// A session whose events are a list.
struct told_session {
    std::vector<std::string> story;
    test_loop loop;
    linked_session end{loop,
                       {[this](const session_ptr &from, const json_t *message, std::string_view type) {
                            story.push_back("message " + std::string(type) + ' ' +
                                            std::to_string(rollout::json_number(message, "id")) +
                                            (from->lines().empty() ? "" : ": " + std::string(from->lines())));
                            if (type == "bye") {
                                from->end("");
                            }
                        },
                        [this](const session_ptr &) { story.push_back("written"); },
                        [this](const session_ptr &which) {
                            story.push_back(which->closed() ? "end" : "end of an open session");
                            end.link.reset(); // as an owner does who lets it go
                        }}};

    std::string told()
    {
        std::string all;
        for (const auto &event : std::exchange(story, {})) {
            all += (all.empty() ? "" : ", ") + event;
        }
        return all;
    }
};

rollout::task_line task_number(std::uint64_t revision, std::string_view document)
{
    return {rollout::task_kind::deploy, revision, revision, rollout::task_status::pending, "t", "m", document};
}

void frames_are_taken_in_their_order_with_their_lines(void **)
{
    told_session world;
    const auto first = linked_session::frame_of("{\"type\":\"submit\",\"id\":1}\none\ntwo");
    const auto second = linked_session::frame_of(R"({"type":"pong","id":2})");
    world.end.say_bytes(first + second.substr(0, 9));
    assert_text(world.told(), "message submit 1: one\ntwo");
    world.end.say_bytes(second.substr(9));
    assert_text(world.told(), "message pong 2");
}

void a_frame_that_is_none_ends_the_session_and_the_peer_hears_why(void **)
{
    told_session world;
    const auto log = logged([&] { world.end.say_bytes(std::string(4, '\0')); });
    assert_text(world.told(), "end");
    assert_holds(log, "The link of a gateway ended: ");
    assert_holds(world.end.next_frame(), R"({"type":"refuse","reason":")");
}

void what_ends_from_inside_its_own_message_takes_no_other(void **)
{
    told_session world;
    world.end.say_bytes(linked_session::frame_of(R"({"type":"bye","id":1})") +
                        linked_session::frame_of(R"({"type":"pong","id":2})"));
    world.end.turn();
    assert_text(world.told(), "message bye 1, end");
    assert_text(world.end.next_frame(), ""); // in order: no reason
}

void the_peers_end_is_told_once(void **)
{
    told_session world;
    world.end.hang_up();
    world.end.turn();
    world.end.turn();
    assert_text(world.told(), "end");
}

void a_session_ends_once(void **)
{
    told_session world;
    const auto link = world.end.link;
    link->end("");
    const quiet silence;
    link->end("it is said again");
    assert_text(world.told(), "end");
    assert_text(world.end.next_frame(), "");
}

void nothing_is_sent_before_it_is_flushed_and_all_of_it_then(void **)
{
    told_session world;
    world.end.link->send(R"({"type":"ping","id":1})");
    world.end.link->send(R"({"type":"ping","id":2})");
    assert_text(world.end.next_frame(), "");
    assert_text(world.end.heard(), "{\"type\":\"ping\",\"id\":1}\n{\"type\":\"ping\",\"id\":2}\n");
    world.end.turn();
    assert_text(world.told(), "written");
    assert_int_equal(world.end.link->unsent(), 0);
}

void answers_of_a_turn_share_a_frame_and_go_before_what_comes_behind_them(void **)
{
    told_session world;
    world.end.link->answer(7, "new", task_number(1, "{}"));
    world.end.link->answer(8, "existed", task_number(2, "{}"));
    world.end.link->send(R"({"type":"ping"})");
    world.end.link->answer(9, "steered", task_number(3, "{}"));
    assert_text(world.end.heard(), "{\"type\":\"accepted\"}\n7 new deploy 1 1 pending t m {}\n"
                                   "8 existed deploy 2 2 pending t m {}\n"
                                   "{\"type\":\"ping\"}\n"
                                   "{\"type\":\"accepted\"}\n9 steered deploy 3 3 pending t m {}\n");
}

void a_frame_of_answers_stays_within_its_bound(void **)
{
    told_session world;
    const std::string document = '"' + std::string(rollout::limits::batch_bytes / 2, 'x') + '"';
    for (std::uint64_t id = 1; id <= 4; ++id) {
        world.end.link->answer(id, "new", task_number(id, document));
    }
    const auto heard = world.end.heard();
    const auto second = heard.find("{\"type\":\"accepted\"}", 1);
    assert_holds(heard.substr(0, second), "\n2 new ");
    assert_holds(heard.substr(second), "\n3 new ");
}

void a_peer_that_does_not_read_is_cut_off(void **)
{
    told_session world;
    const std::string frame = R"({"type":"update","text":")" + std::string(1000000, 'x') + "\"}";
    const auto link = world.end.link;
    int frames = 0;
    const auto log = logged([&] {
        for (; !link->closed() && frames < 100; ++frames) {
            link->send(frame);
            link->flush();
        }
    });
    assert_text(world.told(), "end");
    assert_holds(log, "it does not read what is sent to it");
    assert_in_range(frames, 67, 69);
}

void beyond_the_bound_nothing_gathers(void **)
{
    told_session world;
    const std::string frame = R"({"type":"update","text":")" + std::string(1000000, 'x') + "\"}";
    for (int frames = 0; frames < 200; ++frames) {
        world.end.link->send(frame);
    }
    assert_true(world.end.link->unsent() < rollout::session::most_unsent_bytes + 2 * frame.size());
    const quiet silence;
    world.end.link->flush();
    assert_text(world.told(), "end");
}

void a_refusal_does_not_overtake_a_write_that_is_under_way(void **)
{
    told_session world;
    for (int frames = 0; frames < 4; ++frames) { // more than a socket takes
        world.end.link->send(R"({"type":"update","text":")" + std::string(1000000, 'x') + "\"}");
    }
    world.end.link->flush();
    const quiet silence;
    world.end.link->end("something is wrong");
    std::string heard;
    for (auto frame = world.end.next_frame(); !frame.empty(); frame = world.end.next_frame()) {
        heard += frame;
    }
    assert_true(heard.find("refuse") == std::string::npos);
    assert_text(world.told(), "end");
}

void no_more_questions_are_open_than_may_be(void **)
{
    told_session world;
    for (std::size_t open = 0; open < rollout::limits::requests_in_flight; ++open) {
        assert_true(world.end.link->begin_question());
    }
    world.end.link->end_question();
    assert_true(world.end.link->begin_question());
    const auto link = world.end.link;
    const auto log = logged([&] { assert_false(link->begin_question()); });
    assert_holds(log, "more than 4096 questions without waiting for an answer");
    assert_text(world.told(), "end");
}

void one_that_is_let_go_while_a_write_is_under_way_is_told_nothing_more(void **)
{
    told_session world;
    for (int frames = 0; frames < 4; ++frames) { // more than a socket takes
        world.end.link->send(R"({"type":"update","text":")" + std::string(1000000, 'x') + "\"}");
    }
    world.end.link->flush();
    assert_true(world.end.link->unsent() != 0);
    world.end.link->close();
    world.end.link.reset();
    world.end.turn();
    world.end.turn();
    assert_text(world.told(), "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_taken_in_their_order_with_their_lines),
        cmocka_unit_test(a_frame_that_is_none_ends_the_session_and_the_peer_hears_why),
        cmocka_unit_test(what_ends_from_inside_its_own_message_takes_no_other),
        cmocka_unit_test(the_peers_end_is_told_once),
        cmocka_unit_test(a_session_ends_once),
        cmocka_unit_test(nothing_is_sent_before_it_is_flushed_and_all_of_it_then),
        cmocka_unit_test(answers_of_a_turn_share_a_frame_and_go_before_what_comes_behind_them),
        cmocka_unit_test(a_frame_of_answers_stays_within_its_bound),
        cmocka_unit_test(a_peer_that_does_not_read_is_cut_off),
        cmocka_unit_test(beyond_the_bound_nothing_gathers),
        cmocka_unit_test(a_refusal_does_not_overtake_a_write_that_is_under_way),
        cmocka_unit_test(no_more_questions_are_open_than_may_be),
        cmocka_unit_test(one_that_is_let_go_while_a_write_is_under_way_is_told_nothing_more),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
