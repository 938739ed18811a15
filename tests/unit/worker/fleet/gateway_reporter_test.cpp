#include "worker/fleet/gateway_reporter.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"
#include "tests/unit/fakes/fake_local_gateways.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const std::string key = "/r/l/gateways/g";


struct bench {
    explicit bench(bool starts = true)
    {
        if (starts) {
            start();
        }
    }

    void start()
    {
        reporter = std::make_unique<gateway_reporter>(
            way, own_time, own, gateway_reporter::settings{cluster::keys("/r/"), "a"},
            [this](std::function<void(bool)> done) {
                ++asked_whether_current;
                own_time.post([this, done = std::move(done)] { done(is_current); }, 1ms);
            });
    }

    /// A worker process of the gateway says hello.
    void greet(const std::string &id = "g")
    {
        if (!own.knows(id)) {
            own.link(id);
        }
        reporter->before_first_routes(id, [this, id] {
            ++welcomed;
            at_welcome = etcd.keys.contains("/r/l/gateways/" + id) ? etcd.keys.at("/r/l/gateways/" + id).value : "";
        });
    }

    void confirm(std::uint64_t revision)
    {
        own.of("g").followed = revision;
        reporter->on_change();
    }

    gateway_record read() const { return *parse_gateway_record(etcd.keys.at(key).value); }

    bool is_busy(const std::string &model_id, std::uint64_t revision) const
    {
        return read().busy.contains({model_id, revision});
    }

    /// And with nothing else.
    bool is_busy_with(const std::string &model_id, std::uint64_t revision,
                      std::optional<std::uint64_t> requests) const
    {
        const auto busy = read().busy;
        const auto known = busy.find({model_id, revision});
        return busy.size() == 1 && known != busy.end() && known->second == requests;
    }

    std::int64_t puts() const { return etcd.keys.at(key).version; }

    fake_clock time;
    fake_etcd etcd{time};
    host_clock own_time{time};
    way_to_etcd way{etcd, time, own_time};
    fake_local_gateways own{own_time};
    bool is_current = true;
    int asked_whether_current = 0;
    int welcomed = 0;
    std::string at_welcome; ///< the record
    std::unique_ptr<gateway_reporter> reporter;
};


void a_gateway_has_a_record_before_it_gets_its_first_routes(void **)
{
    bench b;
    b.greet();
    assert_int_equal(b.welcomed, 0); // never from inside the first call
    b.time.run_for(100ms);
    assert_int_equal(b.welcomed, 1);
    const auto record = parse_gateway_record(b.at_welcome);
    assert_true(record && record->host == "a" && record->is_linked && record->followed == 0 && record->busy.empty());
    assert_string_equal(record->processes.c_str(), "of g");
    b.greet(); // another worker process
    assert_int_equal(b.welcomed, 2);
    assert_int_equal(b.puts(), 1);
}


void the_first_routes_are_at_least_as_new_as_the_record(void **)
{
    bench b;
    b.is_current = false;
    b.greet();
    b.time.run_for(3s);
    assert_true(b.etcd.keys.contains(key));
    assert_int_equal(b.welcomed, 0);
    b.is_current = true;
    b.time.run_for(100ms);
    assert_int_equal(b.welcomed, 1);
}


void without_etcd_a_gateway_is_welcomed_after_a_while_and_has_its_record_later(void **)
{
    bench b;
    b.way.loses_requests = true;
    b.greet();
    b.time.run_for(4900ms);
    assert_int_equal(b.welcomed, 0);
    b.time.run_for(200ms);
    assert_int_equal(b.welcomed, 1);
    assert_string_equal(b.at_welcome.c_str(), "");
    b.greet(); // and the next worker process does not wait again
    assert_int_equal(b.welcomed, 2);
    b.way.loses_requests = false;
    b.time.run_for(3s);
    assert_true(b.etcd.keys.contains(key));
    b.greet();
    assert_int_equal(b.welcomed, 3);
}


void a_put_without_an_answer_is_found_and_not_repeated(void **)
{
    bench b;
    b.way.loses_answers = true;
    b.greet();
    b.time.run_for(2s);
    b.way.loses_answers = false;
    b.time.run_for(2s);
    assert_int_equal(b.welcomed, 1);
    assert_int_equal(b.puts(), 1);
}


void what_a_gateway_follows_is_published_with_what_it_has_in_flight(void **)
{
    bench b;
    b.greet();
    b.own.unroute("m", 1, 500);
    b.own.out.push_back({"m", 2, {""}, 500});
    b.own.requests[{"m", 1}] = 3;
    b.reporter->on_change();
    b.time.run_for(2s);
    assert_int_equal(b.read().followed, 0); // it has not confirmed
    assert_int_equal(b.own.questions, 0);
    b.confirm(499);
    b.time.run_for(2s);
    assert_int_equal(b.read().followed, 0);
    b.confirm(500);
    b.time.run_for(300ms);
    assert_int_equal(b.read().followed, 510); // the routes are as the journal had them then
    assert_true(b.is_busy_with("m", 1, 3));
    const auto puts = b.puts();
    b.own.requests[{"m", 1}] = 1;
    b.time.run_for(2s);
    assert_int_equal(b.puts(), puts); // less is not worth a put
    b.own.requests[{"m", 1}] = 0;
    b.time.run_for(300ms);
    assert_true(b.read().busy.empty());
    assert_int_equal(b.puts(), puts + 1);
    const auto questions = b.own.questions;
    b.time.run_for(20s);
    assert_int_equal(b.own.questions, questions); // nobody is asked any more
    assert_int_equal(b.puts(), puts + 1);
}


void what_is_idle_is_not_counted_again_until_its_model_has_other_routes(void **)
{
    bench b;
    b.greet();
    b.own.unroute("m", 1, 500);
    b.confirm(500);
    b.time.run_for(1s);
    assert_int_equal(b.own.questions, 1);
    b.own.unroute("n", 4, 600); // of another model
    b.confirm(600);
    b.time.run_for(1s);
    assert_int_equal(b.own.questions, 2);
    // It was in the traffic and is out again, and no round has seen that.
    b.own.out.clear();
    b.own.unroute("m", 1, 700);
    b.own.requests[{"m", 1}] = 2;
    b.confirm(700);
    b.time.run_for(1s);
    assert_true(b.is_busy("m", 1));
    assert_int_equal(b.read().followed, 710);
}


void what_comes_into_the_traffic_during_a_count_is_counted_anew(void **)
{
    bench b;
    b.greet();
    b.own.unroute("m", 1, 500);
    b.confirm(500);
    b.time.next(); // evaluate: the question is on its way
    b.own.routed["m"] = 520;
    b.own.out.clear();
    b.own.here = {520, 520, 530};
    b.reporter->on_change();
    b.time.run_for(1s);
    b.own.unroute("m", 1, 540);
    b.own.requests[{"m", 1}] = 2;
    b.confirm(540);
    b.time.run_for(1s);
    assert_true(b.is_busy("m", 1));
}


void a_gateway_that_does_not_say_what_it_has_in_flight_may_have_anything(void **)
{
    bench b;
    b.greet();
    b.own.unroute("m", 1, 500);
    b.own.requests[{"m", 1}] = std::nullopt;
    b.confirm(500);
    b.time.run_for(1s);
    assert_true(b.is_busy_with("m", 1, std::nullopt));
    b.own.requests[{"m", 1}] = 2;
    b.time.run_for(300ms);
    assert_true(b.is_busy_with("m", 1, 2));
    b.own.requests[{"m", 1}] = 0;
    b.time.run_for(300ms);
    assert_true(b.read().busy.empty());
}


void changes_of_routes_that_come_fast_share_puts(void **)
{
    bench b;
    b.greet();
    b.time.run_for(1s);
    const auto puts = b.puts();
    for (std::uint64_t change = 0; change < 1000; ++change) {
        b.own.here = {1000 + change, 1000 + change, 1000 + change};
        b.confirm(1000 + change);
        b.time.run_for(1ms);
    }
    b.time.run_for(1s);
    assert_int_equal(b.read().followed, 1999);
    assert_in_range(b.puts() - puts, 5, 12);
}


void writes_that_change_no_route_are_published_now_and_then(void **)
{
    bench b;
    b.greet();
    b.own.here = {500, 500, 500};
    b.confirm(500);
    b.time.run_for(11s);
    const auto puts = b.puts();
    for (std::uint64_t second = 1; second <= 60; ++second) {
        b.own.here = {500, 500 + second, 500 + second};
        b.confirm(500 + second);
        b.time.run_for(1s);
    }
    assert_in_range(b.puts() - puts, 5, 7);
    b.time.run_for(11s);
    assert_int_equal(b.read().followed, 560);
    const auto then = b.puts();
    for (std::uint64_t second = 1; second <= 60; ++second) { // tasks alone
        b.own.here.seen += 1000;
        b.confirm(b.own.here.seen);
        b.time.run_for(1s);
    }
    assert_int_equal(b.puts(), then);
}


void for_another_leader_everything_up_to_its_begin_is_published(void **)
{
    bench b;
    b.greet();
    b.own.here = {500, 500, 500};
    b.confirm(500);
    b.time.run_for(11s);
    b.own.here = {500, 2600, 2600};
    b.confirm(2600);
    b.reporter->on_leader(20); // revision 5120: the journal is not there yet
    b.time.run_for(1s);
    b.own.here.seen = cluster::revision_of(20, 255);
    b.confirm(b.own.here.seen);
    b.time.run_for(500ms);
    assert_int_equal(b.read().followed, b.own.here.seen);
    const auto puts = b.puts();
    b.reporter->on_leader(20);
    b.time.run_for(5s);
    assert_int_equal(b.puts(), puts);
}


void a_gateway_that_is_lost_keeps_its_record_and_one_that_is_gone_has_none(void **)
{
    bench b;
    b.greet();
    b.own.here = {500, 500, 500};
    b.confirm(500);
    b.time.run_for(1s);
    b.own.of("g").is_linked = false;
    b.own.of("g").since_us = 7;
    b.reporter->on_change();
    b.time.run_for(1s);
    assert_false(b.read().is_linked);
    assert_int_equal(b.read().since_us, 7);
    assert_int_equal(b.read().followed, 500);
    b.own.forget("g");
    b.reporter->on_change();
    b.time.run_for(1s);
    assert_false(b.etcd.keys.contains(key));
}


void a_goodbye_while_etcd_is_away_removes_the_record_later(void **)
{
    bench b;
    b.greet();
    b.time.run_for(1s);
    b.way.loses_requests = true;
    b.own.forget("g");
    b.reporter->on_change();
    b.time.run_for(10s);
    assert_true(b.etcd.keys.contains(key));
    b.way.loses_requests = false;
    b.time.run_for(3s);
    assert_false(b.etcd.keys.contains(key));
}


/// A removal without an answer must not be carried out over the record that was put since.
void a_gateway_that_is_back_at_once_has_a_record_before_its_routes(void **)
{
    bench b;
    b.greet();
    b.time.run_for(1s);
    b.way.request_takes = 1500ms; // late
    b.own.forget("g");
    b.reporter->on_change();
    b.time.run_for(1s);
    b.way.request_takes = 1ms;
    b.greet();
    b.time.run_for(4s);
    assert_int_equal(b.welcomed, 2);
    assert_true(b.etcd.keys.contains(key));
    assert_true(parse_gateway_record(b.at_welcome).has_value());
    b.time.run_for(1min);
    assert_true(b.etcd.keys.contains(key));
}


void after_a_restart_what_was_known_to_be_followed_still_is(void **)
{
    bench b;
    b.greet();
    b.own.unroute("m", 1, 500);
    b.own.requests[{"m", 1}] = 3;
    b.confirm(500);
    b.time.run_for(1s);
    b.reporter.reset();
    b.own.of("g").followed = 0; // it has not told the new process
    b.own.of("g").is_linked = false;
    b.start();
    b.time.run_for(1s);
    assert_false(b.read().is_linked);
    assert_int_equal(b.read().followed, 510);
    assert_true(b.is_busy("m", 1));
    b.own.of("g").is_linked = true;
    b.own.requests[{"m", 1}] = 0;
    b.greet();
    b.time.run_for(1s);
    assert_int_equal(b.welcomed, 2);
    assert_true(b.read().is_linked);
    assert_true(b.read().busy.empty());
}


/// The journal's file may have been lost, which has them as well.
void records_of_gateways_that_are_not_known_here_any_more_are_those_of_lost_ones(void **)
{
    bench b(false);
    b.etcd.put("/r/l/gateways/mine", text_of({"a", true, 1, "pids", 5, {}}));
    b.etcd.put("/r/l/gateways/theirs", text_of({"b", true, 1, "pids", 5, {}}));
    b.etcd.put("/r/l/gateways/damaged", "x");
    b.way.loses_answers = true;
    b.start();
    b.time.run_for(3s);
    b.way.loses_answers = false;
    b.reporter->on_change();
    b.time.run_for(3s);
    assert_int_equal(b.own.added.size(), 1);
    assert_string_equal(b.own.added[0].c_str(), "mine pids");
    b.reporter->on_change();
    b.time.run_for(1s);
    const auto record = *parse_gateway_record(b.etcd.keys.at("/r/l/gateways/mine").value);
    assert_false(record.is_linked);
    assert_int_equal(record.followed, 5);
    b.own.forget("mine"); // its processes have ended
    b.reporter->on_change();
    b.time.run_for(1s);
    assert_false(b.etcd.keys.contains("/r/l/gateways/mine"));
    assert_true(b.etcd.keys.contains("/r/l/gateways/theirs"));
}


void a_record_that_is_gone_or_damaged_is_put_again(void **)
{
    bench b;
    b.greet();
    b.own.here = {500, 500, 500};
    b.confirm(500);
    b.time.run_for(1s);
    b.etcd.keys.erase(key); // a leader has taken this host for gone
    b.reporter->check_records();
    b.time.run_for(300ms);
    assert_int_equal(b.read().followed, 500);
    b.etcd.put(key, "x");
    b.time.run_for(gateway_reporter::check_pause + 300ms);
    assert_int_equal(b.read().followed, 500);
    b.greet();
    assert_int_equal(b.welcomed, 2);
}


void a_gateway_that_another_host_has_now_is_left_to_it(void **)
{
    bench b;
    b.greet();
    b.time.run_for(1s);
    b.own.of("g").is_linked = false;
    b.reporter->on_change();
    b.time.run_for(1s);
    const auto theirs = text_of({"b", true, 1, "", 900, {}});
    b.etcd.put(key, theirs);
    b.time.run_for(1min);
    assert_string_equal(b.etcd.keys.at(key).value.c_str(), theirs.c_str());
    b.own.forget("g");
    b.reporter->on_change();
    b.time.run_for(10s);
    assert_string_equal(b.etcd.keys.at(key).value.c_str(), theirs.c_str());
}


void of_another_journal_nothing_is_followed_yet(void **)
{
    bench b;
    b.greet();
    b.own.unroute("m", 1, 500);
    b.own.requests[{"m", 1}] = 3;
    b.confirm(500);
    b.time.run_for(1s);
    b.reporter->on_replaced(true);
    b.confirm(505); // what it says is of the journal before
    b.time.run_for(1s);
    assert_int_equal(b.read().followed, 0);
    b.own.of("g").followed = 0;
    b.own.out.clear();
    b.own.here = {200, 200, 200};
    b.reporter->on_reloaded();
    b.time.run_for(1s);
    assert_int_equal(b.read().followed, 0);
    assert_true(b.read().busy.empty());
    b.confirm(200);
    b.time.run_for(1s);
    assert_int_equal(b.read().followed, 200);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_gateway_has_a_record_before_it_gets_its_first_routes),
        cmocka_unit_test(the_first_routes_are_at_least_as_new_as_the_record),
        cmocka_unit_test(without_etcd_a_gateway_is_welcomed_after_a_while_and_has_its_record_later),
        cmocka_unit_test(a_put_without_an_answer_is_found_and_not_repeated),
        cmocka_unit_test(what_a_gateway_follows_is_published_with_what_it_has_in_flight),
        cmocka_unit_test(what_is_idle_is_not_counted_again_until_its_model_has_other_routes),
        cmocka_unit_test(what_comes_into_the_traffic_during_a_count_is_counted_anew),
        cmocka_unit_test(a_gateway_that_does_not_say_what_it_has_in_flight_may_have_anything),
        cmocka_unit_test(changes_of_routes_that_come_fast_share_puts),
        cmocka_unit_test(writes_that_change_no_route_are_published_now_and_then),
        cmocka_unit_test(for_another_leader_everything_up_to_its_begin_is_published),
        cmocka_unit_test(a_gateway_that_is_lost_keeps_its_record_and_one_that_is_gone_has_none),
        cmocka_unit_test(a_goodbye_while_etcd_is_away_removes_the_record_later),
        cmocka_unit_test(a_gateway_that_is_back_at_once_has_a_record_before_its_routes),
        cmocka_unit_test(after_a_restart_what_was_known_to_be_followed_still_is),
        cmocka_unit_test(records_of_gateways_that_are_not_known_here_any_more_are_those_of_lost_ones),
        cmocka_unit_test(a_record_that_is_gone_or_damaged_is_put_again),
        cmocka_unit_test(a_gateway_that_another_host_has_now_is_left_to_it),
        cmocka_unit_test(of_another_journal_nothing_is_followed_yet),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
