// The gateways as a whole: who is waited for and how long, who is told of whom, and when all follow.
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"
#include "tests/unit/worker/gateway/paged_journal.hpp"
#include "tests/unit/worker/gateway/routed_model.hpp"
#include "worker/gateway/gateway_registry.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using awaited = rollout::gateway_control::awaited;
using rollout::outcome;

/// The number of a process that has ended.
int ended_process()
{
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, nullptr, 0);
    return pid;
}

/// Later than what a test waits for, unless it wants to have all routes followed.
constexpr std::uint64_t newest_route = 1000;

struct known_gateways {
    test_loop loop;
    fake_clock time;
    paged_journal journal{7};
    std::unique_ptr<rollout::gateway_registry> all;

    explicit known_gateways(std::vector<rollout::known_gateway> of_before = {}, bool can_connect = true)
    {
        journal.known_gateways = std::move(of_before);
        journal.known_models = {model_with("gone", newest_route)};
        all = std::make_unique<rollout::gateway_registry>(journal, time);
        all->load([](const outcome &result) { assert_true(static_cast<bool>(result)); });
        journal.answer_start();
        all->wait_for_lost(60s);
        if (can_connect) {
            all->expect_links();
        }
    }

    /// A worker process of that gateway, which lives as this test does.
    std::unique_ptr<linked_session> link(const std::string &id, int pid = getpid())
    {
        auto made = std::make_unique<linked_session>(loop);
        made->link->peer.seen_pid = pid;
        assert_non_null(all->join(made->link, id));
        return made;
    }

    void go_live(const linked_session &carrier)
    {
        all->find(carrier.link->peer.gateway)->start_stream(7);
        journal.answer({});
    }

    std::size_t behind(std::uint64_t revision) const { return all->followers_of(revision, awaited::known).behind; }
};

/// A wait for all to follow, and how it ended.
struct follow_wait {
    explicit follow_wait(rollout::gateway_registry &all, std::uint64_t revision, awaited whom = awaited::known)
        : work(all.when_followed(revision, whom, [this](const outcome &how) { ended = how ? "ok" : how.detail; }))
    {
    }

    std::string ended = "waits";
    rollout::operation_ptr work;
};

void a_route_is_followed_once_every_gateway_says_so(void **)
{
    known_gateways gateways;
    const auto first = gateways.link("first");
    const auto second = gateways.link("second");
    follow_wait wait(*gateways.all, 5);
    gateways.all->confirm(*first->link, 9);
    gateways.all->confirm(*second->link, 4);
    gateways.time.settle();
    assert_text(wait.ended, "waits");
    assert_int_equal(gateways.behind(5), 1);
    gateways.all->confirm(*second->link, 5);
    assert_text(wait.ended, "waits"); // never from inside the call
    gateways.time.settle();
    assert_text(wait.ended, "ok");
    assert_int_equal(gateways.behind(5), 0);
}

/// Or a task that was begun before a restart of the engine would wait for its model's last write to be followed, with which
/// no route has come.
void a_gateway_that_has_all_routes_follows_the_writes_that_change_none(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.all->confirm(*nginx->link, newest_route);
    gateways.all->follow({.rows = {}, .models = {model_with("gone", 1003)}, .before = newest_route, .now = 1005});
    assert_int_equal(gateways.behind(1005), 0);
    assert_int_equal(gateways.behind(1006), 1);

    const rollout::route to_follow{"m", "", rollout::route_target{1, "inference", "m__r1"}, {}, 0, false};
    gateways.all->follow({.rows = {}, .models = {model_with("m", 1007, {to_follow})}, .before = 1005, .now = 1008});
    assert_int_equal(gateways.behind(1005), 0);
    assert_int_equal(gateways.behind(1007), 1);
    gateways.all->confirm(*nginx->link, 1007);
    assert_int_equal(gateways.behind(1008), 0);
    assert_text(gateways.all->routing_before(1008), "");
}

void nobody_follows_while_there_is_no_gateway(void **)
{
    known_gateways gateways;
    follow_wait wait(*gateways.all, 5);
    gateways.time.settle();
    assert_text(wait.ended, "waits");
    const auto nginx = gateways.link("first");
    gateways.all->confirm(*nginx->link, 5);
    gateways.time.settle();
    assert_text(wait.ended, "ok");
}

void a_wait_that_is_canceled_says_so_and_one_that_is_destroyed_says_nothing(void **)
{
    known_gateways gateways;
    follow_wait canceled(*gateways.all, 5);
    auto destroyed = std::make_unique<follow_wait>(*gateways.all, 5);
    canceled.work->cancel();
    destroyed.reset();
    const auto nginx = gateways.link("first");
    gateways.all->confirm(*nginx->link, 5);
    gateways.time.settle();
    assert_text(canceled.ended, "canceled");
}

void a_gateway_without_a_link_is_waited_for_while_its_processes_live(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.all->confirm(*nginx->link, 5);
    gateways.all->leave(nginx->link);
    assert_holds(gateways.all->missing(), "gateway first has had no link since 2026-");
    follow_wait wait(*gateways.all, 5);
    gateways.time.run_for(59s);
    assert_text(wait.ended, "waits");
    const auto again = gateways.link("first");
    gateways.time.settle();
    assert_text(gateways.all->missing(), "");
    follow_wait other(*gateways.all, 5);
    gateways.time.settle();
    assert_text(other.ended, "ok"); // its memory follows what it followed before
}

void the_reachable_ones_follow_without_one_that_has_had_no_link_for_some_seconds(void **)
{
    known_gateways gateways;
    const auto lost = gateways.link("lost");
    const auto linked = gateways.link("linked");
    gateways.all->leave(lost->link);
    follow_wait wait(*gateways.all, 5, awaited::reachable);
    gateways.all->confirm(*linked->link, 5);
    gateways.time.run_for(4500ms);
    assert_text(wait.ended, "waits");
    assert_int_equal(gateways.all->followers_of(5, awaited::reachable).behind, 1);
    gateways.time.run_for(500ms);
    assert_text(wait.ended, "ok");
    assert_int_equal(gateways.all->followers_of(5, awaited::reachable).known, 1);
    assert_int_equal(gateways.all->followers_of(5, awaited::known).behind, 1);
    follow_wait next(*gateways.all, 6, awaited::reachable);
    gateways.time.run_for(10s);
    assert_text(next.ended, "waits");
    gateways.all->confirm(*linked->link, 6);
    gateways.time.settle();
    assert_text(next.ended, "ok");
}

void without_any_link_nobody_is_reachable_and_the_wait_goes_on(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.all->leave(nginx->link);
    follow_wait wait(*gateways.all, 5, awaited::reachable);
    gateways.time.run_for(59s);
    assert_text(wait.ended, "waits");
}

void a_gateway_may_route_by_old_routes_until_it_has_confirmed_newer_ones(void **)
{
    known_gateways gateways;
    assert_text(gateways.all->routing_before(5), "");
    const auto first = gateways.link("first-of-many");
    assert_text(gateways.all->routing_before(5), "gateway first-of does not follow the newest routes yet");
    gateways.all->confirm(*first->link, 4);
    assert_text(gateways.all->routing_before(4), "");
    gateways.all->leave(first->link);
    assert_text(gateways.all->routing_before(4), ""); // it does not go back
    assert_holds(gateways.all->routing_before(5), "gateway first-of has had no link since 2026-");
    assert_holds(gateways.all->routing_before(5), "and may still route");
    gateways.time.run_for(60s); // it is no longer known
    assert_text(gateways.all->routing_before(5), "");

    std::vector<std::unique_ptr<linked_session>> links;
    for (const char *id : {"a", "b", "c", "d", "e"}) {
        links.push_back(gateways.link(id));
    }
    assert_text(gateways.all->routing_before(5), "gateway a does not follow the newest routes yet; "
                                                 "gateway b does not follow the newest routes yet; "
                                                 "gateway c does not follow the newest routes yet; and 2 more");
}

void it_is_reported_that_a_gateway_follows_or_is_no_longer_known(void **)
{
    known_gateways gateways;
    int reports = 0;
    gateways.all->on_progress = [&reports] { ++reports; };
    const auto first = gateways.link("first");
    const auto second = gateways.link("second");
    assert_int_equal(reports, 0);
    gateways.all->confirm(*first->link, 5);
    assert_int_equal(reports, 1);
    second->link->peer.said_bye = true;
    gateways.all->leave(second->link);
    assert_int_equal(reports, 2);
    gateways.all->leave(first->link);
    gateways.time.run_for(59s);
    assert_int_equal(reports, 2);
    gateways.time.run_for(1s);
    assert_int_equal(reports, 3);
}

void it_is_not_waited_for_beyond_the_bound(void **)
{
    known_gateways gateways;
    const auto lost = gateways.link("lost");
    const auto linked = gateways.link("linked");
    gateways.all->confirm(*linked->link, 5);
    follow_wait wait(*gateways.all, 5);
    gateways.all->leave(lost->link);
    gateways.journal.asked();
    gateways.time.run_for(59s);
    assert_text(wait.ended, "waits");
    gateways.time.run_for(1s);
    assert_text(wait.ended, "ok");
    assert_text(gateways.journal.asked(), "forget lost");
    assert_null(gateways.all->find("lost"));
}

void a_gateway_whose_processes_have_ended_is_gone_at_the_next_look(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first", ended_process());
    gateways.all->leave(nginx->link);
    gateways.time.run_for(499ms);
    assert_non_null(gateways.all->find("first"));
    gateways.time.run_for(1ms);
    assert_null(gateways.all->find("first"));
}

void one_whose_processes_nobody_noted_is_waited_for_for_some_seconds(void **)
{
    known_gateways gateways(std::vector<rollout::known_gateway>{{"before", ""}});
    assert_holds(gateways.all->missing(), "gateway before ");
    gateways.time.run_for(4500ms);
    assert_non_null(gateways.all->find("before"));
    gateways.time.run_for(500ms);
    assert_null(gateways.all->find("before"));
}

void none_is_lost_before_it_could_connect(void **)
{
    known_gateways gateways(std::vector<rollout::known_gateway>{{"before", ""}}, false);
    gateways.time.run_for(600s); // a long start
    assert_non_null(gateways.all->find("before"));
    gateways.all->expect_links();
    assert_int_equal(gateways.all->followers_of(5, awaited::reachable).behind, 1);
    gateways.time.run_for(4500ms);
    assert_non_null(gateways.all->find("before"));
    gateways.time.run_for(500ms);
    assert_null(gateways.all->find("before"));
}

void a_commit_that_changes_no_route_is_followed_and_reported(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.all->confirm(*nginx->link, newest_route);
    int reports = 0;
    gateways.all->on_progress = [&reports] { ++reports; };
    follow_wait wait(*gateways.all, newest_route + 2);
    assert_text(wait.ended, "waits");
    gateways.all->follow({.before = newest_route, .now = newest_route + 2});
    gateways.time.settle();
    assert_text(wait.ended, "ok");
    assert_int_equal(reports, 1);
}

void the_looks_for_one_go_on_while_others_come_and_go(void **)
{
    known_gateways gateways(std::vector<rollout::known_gateway>{{"before", ""}});
    for (int times = 0; times < 20; ++times) { // more often than is looked
        const auto nginx = gateways.link("first");
        gateways.all->leave(nginx->link);
        gateways.time.run_for(250ms);
    }
    assert_null(gateways.all->find("before"));
}

void one_that_says_goodbye_is_forgotten_at_once(void **)
{
    known_gateways gateways;
    const auto leaving = gateways.link("leaving");
    const auto staying = gateways.link("staying");
    gateways.all->confirm(*staying->link, 5);
    follow_wait wait(*gateways.all, 5);
    gateways.journal.asked();
    leaving->link->peer.said_bye = true;
    gateways.all->leave(leaving->link);
    gateways.time.settle();
    assert_text(wait.ended, "ok");
    assert_text(gateways.journal.asked(), "forget leaving");
}

void the_goodbye_of_one_worker_process_of_several_is_not_the_gateways(void **)
{
    known_gateways gateways;
    const auto leaving = gateways.link("first");
    const auto staying = gateways.link("first");
    leaving->link->peer.said_bye = true;
    gateways.all->leave(leaving->link);
    assert_non_null(gateways.all->find("first"));
    assert_text(staying->heard(), "{\"type\":\"stream\"}\n");
}

void a_page_for_a_gateway_that_left_is_not_taken_for_one_that_came_back(void **)
{
    known_gateways gateways;
    auto nginx = gateways.link("first");
    gateways.all->find("first")->start_stream(5);
    nginx->link->peer.said_bye = true;
    gateways.all->leave(nginx->link);
    const auto again = gateways.link("first"); // the same shared memory, with less in it than was on its way
    gateways.all->find("first")->start_stream(2);
    again->heard();
    gateways.journal.answer({row(6), row(7)}); // what the first asked for
    assert_text(again->heard(), "");
    gateways.journal.answer({row(3)});
    assert_text(again->heard(), "{\"type\":\"update\",\"revision\":3,\"complete\":false}\n" + line(3));
}

void all_worker_processes_are_told_of_a_second_gateway_and_the_streams_when_it_is_gone(void **)
{
    known_gateways gateways;
    const auto first = gateways.link("first");
    const auto sibling = gateways.link("first");
    gateways.go_live(*first);
    first->heard();
    const auto second = gateways.link("second");
    for (auto *nginx : {first.get(), sibling.get(), second.get()}) {
        assert_text(nginx->heard(), "{\"type\":\"shared\"}\n");
    }
    gateways.all->send_tasks({row(8)}, 7, 8);
    assert_holds(first->heard(), "\"filled\":true,\"complete\":false");
    gateways.all->leave(second->link); // it is lost, and tells nobody of a task
    assert_text(first->heard(), "{\"type\":\"update\",\"revision\":8,\"complete\":true}\n");
    assert_text(sibling->heard(), "");
}

void no_more_gateways_are_known_than_may_be(void **)
{
    known_gateways gateways;
    std::vector<std::unique_ptr<linked_session>> links;
    for (std::size_t number = 0; number < rollout::limits::gateways; ++number) {
        links.push_back(gateways.link("g" + std::to_string(number)));
    }
    linked_session another(gateways.loop);
    assert_null(gateways.all->join(another.link, "another"));
    assert_text(another.link->peer.gateway, "");
    links.push_back(gateways.link("g0")); // of a gateway that is known
}

void pages_that_could_not_be_read_are_asked_for_again_a_second_later(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.all->find("first")->start_stream(5);
    gateways.journal.fail("the disk does not answer");
    gateways.journal.asked();
    gateways.time.run_for(999ms);
    assert_text(gateways.journal.asked(), "");
    gateways.time.run_for(1ms);
    assert_text(gateways.journal.asked(), "after 5");
}

void a_gateway_that_lacks_an_upstream_objects_and_one_that_is_lost_does_not(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    assert_text(gateways.all->objection_to("inference"), "");
    nginx->link->peer.upstreams = rollout::upstream_names::of_hello(json_of(R"({"upstreams": []})").get());
    nginx->link->peer.pid = 7;
    assert_holds(gateways.all->objection_to("inference"),
                 "nginx (gateway first, worker process 7) has no upstream block \"inference\"");
    gateways.all->leave(nginx->link);
    assert_text(gateways.all->objection_to("inference"), "");
}

void a_server_is_missing_if_no_worker_process_of_a_gateway_has_it(void **)
{
    const auto servers = [](const char *text) { return rollout::upstream_servers::of_hello(json_of(text).get()); };
    const auto words_of = [](const std::vector<std::string> &peers) {
        std::string words;
        for (const auto &peer : peers) {
            words += peer + ' ';
        }
        return words;
    };
    known_gateways gateways;
    const auto missing = [&] { return words_of(gateways.all->servers_missing_in("inference", {"a:1", "b:1"})); };
    const auto old_one = gateways.link("first");
    assert_text(missing(), ""); // it does not say
    old_one->link->peer.servers = servers(R"({"servers": {"inference": ["a:1"]}})");
    assert_text(missing(), "b:1 ");
    const auto new_one = gateways.link("first");
    new_one->link->peer.servers = servers(R"({"servers": {"inference": ["a:1", "b:1"]}})");
    assert_text(missing(), "");
    const auto other = gateways.link("second");
    other->link->peer.servers = servers(R"({"servers": {"inference": ["b:1"]}})");
    assert_text(missing(), "a:1 ");
    gateways.all->leave(other->link);
    assert_text(missing(), "");
}

void once_it_is_stopped_a_link_that_ends_starts_nothing(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.all->stop();
    gateways.all->leave(nginx->link);
    assert_false(gateways.time.next());
}

} // namespace

namespace {

/// Those that a host says of its gateways to others.
void what_becomes_of_a_gateway_is_told(void **)
{
    known_gateways gateways;
    int changes = 0;
    gateways.all->on_change = [&changes] { ++changes; };
    assert_true(gateways.all->states().empty());
    auto nginx = gateways.link("first");
    assert_int_equal(std::exchange(changes, 0), 1);
    auto state = gateways.all->states().at(0);
    assert_text(state.id, "first");
    assert_true(state.is_linked);
    assert_int_equal(state.since_us, gateways.time.wall_us());
    assert_int_equal(state.followed, 0);
    assert_false(state.processes.empty());
    gateways.all->confirm(*nginx->link, newest_route);
    assert_int_equal(std::exchange(changes, 0), 1);
    assert_int_equal(gateways.all->states().at(0).followed, newest_route);
    gateways.time.run_for(3s);
    gateways.all->leave(nginx->link);
    assert_int_equal(std::exchange(changes, 0), 1);
    state = gateways.all->states().at(0);
    assert_false(state.is_linked);
    assert_int_equal(state.since_us, gateways.time.wall_us());
    assert_int_equal(state.followed, newest_route); // it does not go back
    gateways.time.run_for(61s);
    assert_int_equal(std::exchange(changes, 0), 1);
    assert_true(gateways.all->states().empty());
    gateways.all->follow({.rows = {}, .models = {}, .before = 7, .now = 8});
    assert_int_equal(changes, 0); // no route can have changed
    gateways.all->follow({.rows = {}, .models = {model_with("m", 1009)}, .before = 8, .now = 1010});
    assert_int_equal(changes, 1);
    assert_int_equal(gateways.all->where().models, 1009);
    assert_int_equal(gateways.all->where().routes, newest_route);
    assert_int_equal(gateways.all->where().seen, 1010);
}


void gateways_that_others_know_of_an_earlier_start_are_lost_ones(void **)
{
    known_gateways gateways;
    const auto nginx = gateways.link("first");
    gateways.journal.asked();
    const auto processes = gateways.all->states().at(0).processes;
    gateways.all->add_lost({{"first", "x"}, {"before", processes}});
    assert_text(gateways.journal.asked(), "remember before");
    assert_true(gateways.all->find("first")->is_linked());
    assert_int_equal(gateways.all->states().size(), 2);
    assert_holds(gateways.all->missing(), "gateway before has had no link");
    gateways.time.run_for(59s);
    assert_true(gateways.all->knows("before"));
    gateways.time.run_for(2s);
    assert_false(gateways.all->knows("before"));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_followed_once_every_gateway_says_so),
        cmocka_unit_test(a_gateway_that_has_all_routes_follows_the_writes_that_change_none),
        cmocka_unit_test(nobody_follows_while_there_is_no_gateway),
        cmocka_unit_test(a_wait_that_is_canceled_says_so_and_one_that_is_destroyed_says_nothing),
        cmocka_unit_test(a_gateway_without_a_link_is_waited_for_while_its_processes_live),
        cmocka_unit_test(the_reachable_ones_follow_without_one_that_has_had_no_link_for_some_seconds),
        cmocka_unit_test(without_any_link_nobody_is_reachable_and_the_wait_goes_on),
        cmocka_unit_test(a_gateway_may_route_by_old_routes_until_it_has_confirmed_newer_ones),
        cmocka_unit_test(it_is_reported_that_a_gateway_follows_or_is_no_longer_known),
        cmocka_unit_test(it_is_not_waited_for_beyond_the_bound),
        cmocka_unit_test(a_gateway_whose_processes_have_ended_is_gone_at_the_next_look),
        cmocka_unit_test(one_whose_processes_nobody_noted_is_waited_for_for_some_seconds),
        cmocka_unit_test(the_looks_for_one_go_on_while_others_come_and_go),
        cmocka_unit_test(none_is_lost_before_it_could_connect),
        cmocka_unit_test(a_commit_that_changes_no_route_is_followed_and_reported),
        cmocka_unit_test(one_that_says_goodbye_is_forgotten_at_once),
        cmocka_unit_test(the_goodbye_of_one_worker_process_of_several_is_not_the_gateways),
        cmocka_unit_test(a_page_for_a_gateway_that_left_is_not_taken_for_one_that_came_back),
        cmocka_unit_test(all_worker_processes_are_told_of_a_second_gateway_and_the_streams_when_it_is_gone),
        cmocka_unit_test(no_more_gateways_are_known_than_may_be),
        cmocka_unit_test(pages_that_could_not_be_read_are_asked_for_again_a_second_later),
        cmocka_unit_test(a_gateway_that_lacks_an_upstream_objects_and_one_that_is_lost_does_not),
        cmocka_unit_test(a_server_is_missing_if_no_worker_process_of_a_gateway_has_it),
        cmocka_unit_test(once_it_is_stopped_a_link_that_ends_starts_nothing),
        cmocka_unit_test(what_becomes_of_a_gateway_is_told),
        cmocka_unit_test(gateways_that_others_know_of_an_earlier_start_are_lost_ones),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
