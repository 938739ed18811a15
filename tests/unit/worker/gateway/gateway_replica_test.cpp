// A gateway's stream: what is sent to the link that carries it, in which order, and what becomes of it when links come and go.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/quiet.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"
#include "tests/unit/worker/gateway/paged_journal.hpp"
#include "tests/unit/worker/gateway/routed_model.hpp"
#include "worker/gateway/gateway_replica.hpp"

#include <string>

namespace {

using rollout::outcome;
using rollout::stream_state;

const std::string no_routes = "{\"type\":\"routes\",\"revision\":0,\"begin\":true,\"end\":true,\"routes\":[]}\n";

std::string update(int revision, const char *rest, const std::string &lines = {})
{
    return "{\"type\":\"update\",\"revision\":" + std::to_string(revision) + rest + "}\n" + lines;
}

const char *const partial = ",\"complete\":false";
const char *const filled = ",\"filled\":true,\"complete\":false";
const char *const complete = ",\"complete\":true";

/// A gateway without links; the journal is at revision 7.
struct known_gateway {
    test_loop loop;
    paged_journal journal{7};
    rollout::published_routes routes;
    bool is_shared = false;
    int pauses = 0; ///< that it asked for, before a page is read again
    rollout::gateway_replica replica{"first", {journal, routes, [this] { return is_shared; }, [this] { ++pauses; }}};

    /// What its stream is at.
    bool is(stream_state state) const { return replica.state() == state; }

    /// Up to the live stream over that link.
    void go_live(linked_session &over)
    {
        replica.add(over.link);
        replica.start_stream(7);
        journal.answer({});
        over.heard();
        journal.asked();
    }
};

void the_first_link_gets_all_routes_then_what_its_table_lacks_then_hears_that_it_has_all(void **)
{
    known_gateway gateway;
    const rollout::route to_follow{"m", "", rollout::route_target{1, "inference", "m__r1"}, {}, 0, false};
    gateway.routes.follow(model_with("m", 3, {to_follow}));
    linked_session nginx(gateway.loop);
    assert_true(gateway.is(stream_state::offline));
    gateway.replica.add(nginx.link);
    assert_true(gateway.is(stream_state::greeting));
    gateway.replica.start_stream(5);
    assert_true(gateway.is(stream_state::catching_up));
    assert_text(nginx.heard(), "{\"type\":\"routes\",\"revision\":3,\"begin\":true,\"end\":true,\"routes\":[" +
                                   rollout::json_compact(rollout::route_to_json(to_follow).get()) + "]}\n");
    assert_text(gateway.journal.asked(), "after 5");
    gateway.journal.answer({row(6), row(7)});
    assert_text(nginx.heard(), update(7, partial, line(6) + line(7)));
    assert_text(gateway.journal.asked(), "after 7");
    gateway.journal.answer({});
    assert_text(nginx.heard(), update(7, complete));
    assert_true(gateway.is(stream_state::live));
}

void what_changes_goes_to_a_live_stream_at_once(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.go_live(nginx);
    gateway.journal.now = 9;
    gateway.replica.send_tasks({row(8), row(9)}, 7, 9);
    assert_text(nginx.heard(), update(9, complete, line(8) + line(9)));
    gateway.replica.send_routes("{\"type\":\"routes\"}");
    assert_text(nginx.heard(), "{\"type\":\"routes\"}\n");
    assert_text(gateway.journal.asked(), "");
}

void what_changes_while_it_catches_up_comes_with_the_pages(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.replica.add(nginx.link);
    gateway.replica.start_stream(5);
    gateway.journal.now = 8;
    gateway.replica.send_tasks({row(8)}, 7, 8);
    assert_text(nginx.heard(), no_routes);
    gateway.journal.answer({row(6), row(7)});
    gateway.journal.answer({row(8)});
    gateway.journal.answer({});
    assert_text(nginx.heard(),
                update(7, partial, line(6) + line(7)) + update(8, partial, line(8)) + update(8, complete));
}

void a_page_that_was_asked_for_before_a_change_does_not_end_the_catching_up(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.replica.add(nginx.link);
    gateway.replica.start_stream(7);
    gateway.journal.now = 8;
    gateway.journal.answer({}); // what there was at revision 7
    assert_text(nginx.heard(), no_routes + update(7, partial));
    assert_true(gateway.is(stream_state::catching_up));
    assert_text(gateway.journal.asked(), "after 7, after 7");
}

void a_new_task_that_an_answer_told_of_is_not_sent_again(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    linked_session other(gateway.loop);
    gateway.go_live(nginx);
    gateway.replica.add(other.link);
    gateway.replica.note_told(*nginx.link, 8);
    gateway.replica.note_told(*other.link, 9); // which does not carry the stream
    gateway.journal.now = 9;
    gateway.replica.send_tasks({row(8), row(9)}, 7, 9);
    assert_text(nginx.heard(), update(9, complete, line(9)));
}

/// As in a cluster, where the journal's news take their time.
void what_answers_told_of_is_not_sent_again_whichever_comes_first(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.go_live(nginx);
    const auto send = [&](const std::vector<rollout::task_row> &rows, std::uint64_t before) {
        gateway.journal.now = rows.back().revision;
        gateway.replica.send_tasks(rows, before, rows.back().revision);
        return nginx.heard();
    };
    gateway.replica.note_told(*nginx.link, 9); // which has overtaken the one before
    gateway.replica.note_told(*nginx.link, 8);
    assert_text(send({row(8)}, 7), update(8, complete));
    assert_text(send({row(9)}, 8), update(9, complete));
    assert_text(send({row(10)}, 9), update(10, complete, line(10)));
    gateway.replica.note_told(*nginx.link, 10); // too late
    gateway.replica.note_told(*nginx.link, 12);
    assert_text(send({row(11), row(12)}, 10), update(12, complete, line(11)));

    gateway.replica.note_told(*nginx.link, 13);
    gateway.replica.on_replaced(true); // by another history, in which 13 is another task
    assert_text(send({row(13)}, 12), update(13, complete, line(13)));
}

void a_gateway_that_does_not_read_gets_the_changes_as_pages_later(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.go_live(nginx);
    for (int frames = 0; frames < 2; ++frames) {
        nginx.link->send("{\"type\":\"found\",\"text\":\"" + std::string(1000000, 'x') + "\"}");
    }
    gateway.journal.now = 8;
    gateway.replica.send_tasks({row(8)}, 7, 8);
    assert_text(gateway.journal.asked(), ""); // there is no room for a page either
    nginx.link->flush();
    while (nginx.link->unsent() != 0) {
        nginx.next_frame();
        nginx.turn();
    }
    nginx.heard();
    gateway.replica.pump();
    assert_text(gateway.journal.asked(), "after 7");
    gateway.journal.answer({row(8)});
    assert_true(gateway.is(stream_state::catching_up));
    gateway.journal.answer({});
    assert_text(nginx.heard(), update(8, partial, line(8)) + update(8, complete));
    assert_true(gateway.is(stream_state::live));
}

void beside_another_gateway_a_table_is_filled_and_never_complete(void **)
{
    known_gateway gateway;
    gateway.is_shared = true;
    linked_session nginx(gateway.loop);
    linked_session other(gateway.loop);
    gateway.replica.add(nginx.link);
    gateway.replica.start_stream(7);
    gateway.journal.answer({});
    assert_text(nginx.heard(), no_routes + update(7, filled));
    gateway.replica.send_tasks({row(8)}, 7, 8);
    assert_text(nginx.heard(), update(8, filled, line(8)));

    gateway.replica.add(other.link);
    gateway.replica.tell_shared(true);
    assert_text(nginx.heard(), "{\"type\":\"shared\"}\n");
    assert_text(other.heard(), "{\"type\":\"shared\"}\n"); // each reads by itself
    gateway.replica.tell_shared(false);
    assert_text(nginx.heard(), update(8, complete));
    assert_text(other.heard(), "");
}

void a_table_that_is_not_full_is_not_told_that_it_is_complete(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.replica.add(nginx.link);
    gateway.replica.tell_shared(false);
    assert_text(nginx.heard(), "");
    gateway.replica.start_stream(5);
    gateway.replica.tell_shared(false);
    assert_text(nginx.heard(), no_routes);
}

void the_next_link_takes_the_stream_over_and_says_where_to_begin(void **)
{
    known_gateway gateway;
    linked_session first(gateway.loop);
    linked_session second(gateway.loop);
    gateway.go_live(first);
    gateway.replica.add(second.link);
    gateway.replica.remove(first.link);
    assert_true(gateway.is(stream_state::greeting));
    assert_true(gateway.replica.stream() == second.link);
    gateway.replica.send_tasks({row(8)}, 7, 8);
    gateway.replica.send_routes("{\"type\":\"routes\"}");
    assert_text(second.heard(), "{\"type\":\"stream\"}\n"); // nothing before its hello
    gateway.replica.start_stream(6);
    assert_text(second.heard(), no_routes);
    assert_text(gateway.journal.asked(), "after 6");
}

void a_page_for_a_stream_that_has_ended_is_dropped(void **)
{
    known_gateway gateway;
    linked_session first(gateway.loop);
    linked_session second(gateway.loop);
    gateway.replica.add(first.link);
    gateway.replica.add(second.link);
    gateway.replica.start_stream(5);
    gateway.replica.remove(first.link);
    gateway.journal.answer({row(6), row(7)});
    assert_text(second.heard(), "{\"type\":\"stream\"}\n");

    gateway.replica.start_stream(5);
    gateway.replica.start_stream(6); // it says hello again
    assert_text(second.heard(), no_routes + no_routes);
    gateway.journal.answer({row(6), row(7)});
    assert_text(second.heard(), "");
    gateway.journal.answer({row(7)});
    assert_text(second.heard(), update(7, partial, line(7)));
}

void a_page_for_a_gateway_that_is_gone_is_dropped(void **)
{
    test_loop loop;
    paged_journal journal{7};
    rollout::published_routes routes;
    linked_session nginx(loop);
    {
        rollout::gateway_replica replica("first", {journal, routes, [] { return false; }, [] {}});
        replica.add(nginx.link);
        replica.start_stream(5);
    }
    journal.answer({row(6)});
    assert_text(nginx.heard(), no_routes);
}

void a_link_that_did_not_carry_the_stream_ends_without_a_word(void **)
{
    known_gateway gateway;
    linked_session first(gateway.loop);
    linked_session second(gateway.loop);
    gateway.go_live(first);
    gateway.replica.add(second.link);
    gateway.replica.remove(second.link);
    assert_true(gateway.is(stream_state::live));
    assert_text(first.heard(), "");
}

void a_page_that_cannot_be_read_is_asked_for_again_after_a_pause(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.replica.add(nginx.link);
    gateway.replica.start_stream(5);
    {
        const quiet silence;
        gateway.journal.fail("the disk does not answer");
    }
    assert_int_equal(gateway.pauses, 1);
    assert_text(nginx.heard(), no_routes);
    gateway.replica.pump();
    assert_text(gateway.journal.asked(), "after 5, after 5");
    gateway.journal.answer({row(6), row(7)});
    assert_text(nginx.heard(), update(7, partial, line(6) + line(7)));
}

void a_gateway_whose_last_link_ends_is_offline_and_follows_nothing(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.go_live(nginx);
    gateway.replica.confirm(5);
    gateway.replica.confirm(4); // of a worker process that is behind
    assert_int_equal(gateway.replica.followed(), 5);
    gateway.replica.remove(nginx.link);
    assert_true(gateway.is(stream_state::offline));
    assert_null(gateway.replica.stream().get());
    assert_int_equal(gateway.replica.followed(), 0);
    gateway.replica.send_tasks({row(8)}, 7, 8);
    gateway.replica.pump();
    assert_text(gateway.journal.asked(), "");

    linked_session again(gateway.loop);
    gateway.replica.add(again.link); // the same memory follows what it did
    assert_int_equal(gateway.replica.followed(), 5);
}

void large_tasks_go_out_in_several_frames(void **)
{
    known_gateway gateway;
    linked_session nginx(gateway.loop);
    gateway.go_live(nginx);
    const std::string document = '"' + std::string(40000, 'x') + '"';
    gateway.replica.send_tasks({row(8, document), row(9, document), row(10, document)}, 7, 10);
    assert_text(nginx.heard(),
                update(9, partial, line(8, document) + line(9, document)) + update(10, complete, line(10, document)));
}

void an_upstream_is_known_if_one_worker_process_has_it_or_does_not_say(void **)
{
    known_gateway gateway;
    linked_session first(gateway.loop);
    linked_session second(gateway.loop);
    gateway.replica.add(first.link);
    gateway.replica.add(second.link);
    const auto hello = [](const char *text) { return rollout::upstream_names::of_hello(json_of(text).get()); };
    first.link->peer.upstreams = hello(R"({"upstreams": ["old"]})");
    second.link->peer.upstreams = hello(R"({"upstreams": ["Inference", "host:80"]})");
    assert_true(gateway.replica.has_upstream("inference"));
    assert_true(gateway.replica.has_upstream("host"));
    assert_true(gateway.replica.has_upstream("10.0.0.1:8000"));
    assert_false(gateway.replica.has_upstream("other"));
    second.link->peer.upstreams = hello("{}");
    assert_true(gateway.replica.has_upstream("other"));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_first_link_gets_all_routes_then_what_its_table_lacks_then_hears_that_it_has_all),
        cmocka_unit_test(what_changes_goes_to_a_live_stream_at_once),
        cmocka_unit_test(what_changes_while_it_catches_up_comes_with_the_pages),
        cmocka_unit_test(a_page_that_was_asked_for_before_a_change_does_not_end_the_catching_up),
        cmocka_unit_test(a_new_task_that_an_answer_told_of_is_not_sent_again),
        cmocka_unit_test(what_answers_told_of_is_not_sent_again_whichever_comes_first),
        cmocka_unit_test(a_gateway_that_does_not_read_gets_the_changes_as_pages_later),
        cmocka_unit_test(beside_another_gateway_a_table_is_filled_and_never_complete),
        cmocka_unit_test(a_table_that_is_not_full_is_not_told_that_it_is_complete),
        cmocka_unit_test(the_next_link_takes_the_stream_over_and_says_where_to_begin),
        cmocka_unit_test(a_page_for_a_stream_that_has_ended_is_dropped),
        cmocka_unit_test(a_page_for_a_gateway_that_is_gone_is_dropped),
        cmocka_unit_test(a_link_that_did_not_carry_the_stream_ends_without_a_word),
        cmocka_unit_test(a_page_that_cannot_be_read_is_asked_for_again_after_a_pause),
        cmocka_unit_test(a_gateway_whose_last_link_ends_is_offline_and_follows_nothing),
        cmocka_unit_test(large_tasks_go_out_in_several_frames),
        cmocka_unit_test(an_upstream_is_known_if_one_worker_process_has_it_or_does_not_say),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
