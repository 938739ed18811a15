#include "worker/leadership/etcd/etcd_leadership.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"

#include <memory>
#include <string>

namespace {

using namespace rollout;
using namespace std::chrono_literals;


struct host {
    host(fake_etcd &etcd, fake_clock &clock, const std::string &name)
        : time(clock), way(etcd, clock, time), own(way, time, {"/r/", name, 4s}, {name, "1.0", 1, 1, "", true})
    {
        own.on_elected = [this](leader_token) { story += "elected "; };
        own.on_deposed = [this](const std::string &) { story += "deposed "; };
        own.on_change = [this] { ++changes; };
    }

    host_clock time;
    way_to_etcd way;
    std::string story;
    int changes = 0;
    etcd_leadership own;
};


void hosts_register_and_one_of_them_leads(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    host a(etcd, time, "a");
    host b(etcd, time, "b");
    a.own.start();
    time.run_for(1s);
    b.own.start();
    time.run_for(10s);
    assert_text(a.story, "elected ");
    assert_text(b.story, "");
    assert_text(b.own.leader()->host, "a");
    assert_true(etcd.keys.contains("/r/s/leader") && etcd.keys.contains("/r/l/hosts/a") &&
                etcd.keys.contains("/r/l/hosts/b"));
    assert_true(a.changes > 0 && b.changes > 0);

    bool is_done = false;
    a.own.resign([&] { is_done = true; });
    assert_false(a.own.token().has_value());
    time.run_for(10ms);
    assert_true(is_done);
    assert_false(etcd.keys.contains("/r/l/hosts/a"));
    b.own.poll();
    time.run_for(100ms);
    assert_true(b.own.token().has_value());
    assert_text(a.story, "elected ");
}


void who_may_not_lead_is_registered_as_no_candidate(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    host a(etcd, time, "a");
    a.own.stand(false);
    a.own.start();
    time.run_for(10s);
    assert_text(a.story, "");
    assert_false(parse_host_record(etcd.keys.at("/r/l/hosts/a").value)->candidate);
    a.own.update({"a", "1.1", 1, 2, "digest", true});
    time.run_for(1s);
    assert_false(parse_host_record(etcd.keys.at("/r/l/hosts/a").value)->candidate);
    assert_text(parse_host_record(etcd.keys.at("/r/l/hosts/a").value)->version, "1.1");
    a.own.stand(true);
    time.run_for(5s);
    assert_text(a.story, "elected ");
    a.own.stand(false);
    time.run_for(5s);
    assert_text(a.story, "elected deposed ");
    assert_false(etcd.keys.contains("/r/s/leader"));
}


void what_stands_in_the_way_is_said(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    host a(etcd, time, "a");
    etcd.full = true;
    a.own.start();
    time.run_for(10s);
    assert_text(a.own.trouble(), "database space exceeded");
    etcd.full = false;
    time.run_for(5s);
    assert_text(a.own.trouble(), "");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(hosts_register_and_one_of_them_leads),
        cmocka_unit_test(who_may_not_lead_is_registered_as_no_candidate),
        cmocka_unit_test(what_stands_in_the_way_is_said),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
