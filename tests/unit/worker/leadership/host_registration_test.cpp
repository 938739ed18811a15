#include "worker/leadership/etcd/host_registration.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"

#include <memory>
#include <string>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const std::string own_key = "/r/l/hosts/a";

host_record record_of(const std::string &process, const std::string &config = "c1")
{
    return {process, "1.2.3", 1, 2, config, true};
}


struct bench {
    explicit bench(fake_etcd &to, fake_clock &clock, const std::string &process = "p1")
        : etcd(to), time(clock), own_time(clock), way(to, clock, own_time)
    {
        own.start(record_of(process));
    }

    host_record read() const { return *parse_host_record(etcd.keys.at(own_key).value); }

    fake_etcd &etcd;
    fake_clock &time;
    host_clock own_time;
    way_to_etcd way;
    int changes = 0;
    host_registration own{way, own_time, own_key, 4s, [this] { ++changes; }};
};


void a_record_reads_as_it_was_written(void **)
{
    const host_record written{"p \"1\"", "1.2", 3, 7, "digest", false};
    assert_true(parse_host_record(text_of(written)) == written);
    assert_true(parse_host_record(R"({"formats":[1,2],"more":{}})")->newest_format == 2);
    for (const char *text : {"", "[]", "{}", R"({"formats":[2,1]})", R"({"formats":[-1,1]})",
                             R"({"formats":["1",1]})", R"({"formats":[1,1000001]})"}) {
        assert_false(parse_host_record(text).has_value());
    }
}


void it_is_there_as_long_as_its_host(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    {
        bench b(etcd, time);
        time.run_for(1min);
        assert_true(b.read() == record_of("p1"));
        assert_true(b.own.state() == registration_state::registered);
        assert_true(*b.own.seen_at() > time.now() - 1500ms);
        assert_int_equal(etcd.leases(), 1);
        assert_int_equal(etcd.keys.at(own_key).version, 1);
    }
    time.run_for(4s);
    assert_false(etcd.keys.contains(own_key));
}


void one_that_has_gone_though_its_host_lives_is_put_within_a_third_of_its_time(void **)
{
    for (const bool blindly : {false, true}) {
        fake_clock time;
        fake_etcd etcd(time);
        bench b(etcd, time);
        etcd.renews_blindly = blindly;
        time.run_for(10s);
        etcd.end_lease(etcd.keys.at(own_key).lease);
        assert_false(etcd.keys.contains(own_key));
        time.run_for(4s / 3 + 10ms);
        assert_true(etcd.keys.contains(own_key));
        const auto lease = etcd.keys.at(own_key).lease;
        time.run_for(1min);
        assert_int_equal(etcd.keys.at(own_key).lease, lease);
    }
}


void one_that_was_cut_off_is_put_when_it_is_not(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    bench b(etcd, time);
    time.run_for(10s);
    b.way.loses_requests = true;
    const auto seen_at = *b.own.seen_at();
    time.run_for(20s);
    assert_false(etcd.keys.contains(own_key));
    assert_true(*b.own.seen_at() < seen_at + 2s);
    assert_text(b.own.trouble(), "etcd does not answer");
    b.way.loses_requests = false;
    time.run_for(3s);
    assert_true(b.read() == record_of("p1"));
    assert_text(b.own.trouble(), "");
}


void what_it_says_can_change(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    bench b(etcd, time);
    b.own.update(record_of("p1", "c2")); // before it is there
    time.run_for(10s);
    assert_text(b.read().config, "c2");
    b.own.update(record_of("p1", "c3"));
    time.run_for(10ms);
    assert_text(b.read().config, "c3");
    // A put that is late does not stay.
    b.way.request_takes = 3s;
    b.own.update(record_of("p1", "c4"));
    b.way.request_takes = 1ms;
    b.own.update(record_of("p1", "c5"));
    time.run_for(10s);
    assert_text(b.read().config, "c5");
}


void a_host_that_is_back_takes_the_record_of_its_last_process(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    {
        bench dead(etcd, time, "p1");
        time.run_for(10s);
    }
    bench b(etcd, time, "p2");
    time.run_for(100ms);
    assert_text(b.read().process, "p2");
    time.run_for(1min);
    assert_text(b.read().process, "p2");
    assert_int_equal(etcd.leases(), 1);
}


void of_two_with_one_name_the_first_waits_and_says_so(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    bench first(etcd, time, "p1");
    time.run_for(10s);
    {
        bench second(etcd, time, "p2");
        time.run_for(1min);
        assert_text(first.read().process, "p2");
        assert_true(first.own.state() == registration_state::displaced);
        assert_holds(first.own.trouble(), "another rolloutd has registered under /r/l/hosts/a");
        assert_true(second.own.state() == registration_state::registered);
    }
    time.run_for(6s);
    assert_text(first.read().process, "p1");
    assert_text(first.own.trouble(), "");
}


void one_that_leaves_is_gone_at_once(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    bench b(etcd, time);
    time.run_for(10s);
    bool is_done = false;
    b.own.leave([&] { is_done = true; });
    assert_false(is_done);
    time.run_for(10ms);
    assert_true(is_done);
    assert_false(etcd.keys.contains(own_key));
    assert_int_equal(etcd.leases(), 0);
    time.run_for(1min);
    assert_false(etcd.keys.contains(own_key));
}


void without_room_it_says_so_and_tries_again(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    etcd.full = true;
    bench b(etcd, time);
    time.run_for(10s);
    assert_text(b.own.trouble(), "database space exceeded");
    etcd.full = false;
    time.run_for(1s);
    assert_text(b.read().process, "p1");
    // What is there stays.
    etcd.full = true;
    time.run_for(1min);
    assert_true(b.own.state() == registration_state::registered);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_as_it_was_written),
        cmocka_unit_test(it_is_there_as_long_as_its_host),
        cmocka_unit_test(one_that_has_gone_though_its_host_lives_is_put_within_a_third_of_its_time),
        cmocka_unit_test(one_that_was_cut_off_is_put_when_it_is_not),
        cmocka_unit_test(what_it_says_can_change),
        cmocka_unit_test(a_host_that_is_back_takes_the_record_of_its_last_process),
        cmocka_unit_test(of_two_with_one_name_the_first_waits_and_says_so),
        cmocka_unit_test(one_that_leaves_is_gone_at_once),
        cmocka_unit_test(without_room_it_says_so_and_tries_again),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
