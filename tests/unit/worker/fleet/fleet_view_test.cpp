#include "worker/fleet/fleet_view.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <memory>
#include <string>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const std::string leader_key = "/r/s/leader";


struct bench {
    bench()
    {
        view.wait_for_isolated(10s);
        elect();
    }

    /// Another leader, on this host as well.
    void elect()
    {
        etcd.keys.erase(leader_key);
        etcd.put(leader_key, "a");
        view.lead(etcd.keys.at(leader_key).create_revision);
    }

    void put(const std::string &gateway, const std::string &host, std::uint64_t followed = 0, bool is_linked = true)
    {
        etcd.put("/r/l/gateways/" + gateway, text_of({host, is_linked, 1, "", followed, {}}));
    }

    bool has(const std::string &gateway) const { return etcd.keys.contains("/r/l/gateways/" + gateway); }

    fake_clock time;
    fake_etcd etcd{time};
    host_clock own_time{time};
    way_to_etcd way{etcd, time, own_time};
    int reads = 0;
    int changes = 0;
    fleet_view view{way, own_time, cluster::keys("/r/"), [this](bool changed) {
                        ++reads;
                        changes += changed ? 1 : 0;
                    }};
};


void what_was_written_before_a_read_is_known(void **)
{
    bench b;
    const auto before = cluster::revision_of(b.etcd.revision(), 3);
    assert_false(b.view.has_read(0));
    assert_false(b.view.has_read(before));
    b.time.run_for(10ms);
    assert_true(b.view.has_read(before));
    b.put("g", "b", 7);
    const auto after = cluster::revision_of(b.etcd.revision(), 0);
    assert_false(b.view.has_read(after));
    b.view.poll();
    b.time.run_for(30ms);
    assert_true(b.view.has_read(after));
    assert_int_equal(b.view.gateways().at("g").followed(), 7);
    assert_false(b.view.gateways().at("g").is_reachable()); // its host is not there
    b.etcd.put("/r/l/hosts/b", "x");
    b.time.run_for(1s); // also without a watch
    assert_true(b.view.gateways().at("g").is_reachable());
    b.put("g", "b", 7, false);
    b.time.run_for(1s);
    assert_false(b.view.gateways().at("g").is_reachable());
}


/// A read that was under way when the watch told of a change may have missed it.
void a_change_during_a_read_is_read_soon(void **)
{
    bench b;
    b.time.run_for(2500ms);
    b.way.answer_takes = 10ms;
    b.view.poll();
    b.time.run_for(5ms);
    b.put("g", "b");
    b.view.poll();
    b.time.run_for(50ms);
    assert_true(b.view.gateways().contains("g"));
}


void changes_that_come_fast_share_reads(void **)
{
    bench b;
    b.time.run_for(1s);
    const auto reads = b.reads;
    const auto changes = b.changes;
    for (int i = 0; i < 1000; ++i) {
        b.put("g", "b", static_cast<std::uint64_t>(i));
        b.view.poll();
        b.time.run_for(1ms);
    }
    assert_in_range(b.reads - reads, 20, 60);
    assert_int_equal(b.changes - changes, b.reads - reads);
    b.time.run_for(5s);
    assert_in_range(b.changes - changes, 20, 60);
}


void the_gateways_of_a_host_that_is_away_are_waited_for_and_then_removed(void **)
{
    bench b;
    b.etcd.put("/r/l/hosts/b", "x");
    b.put("g", "b");
    b.put("h", "c");
    b.etcd.put("/r/l/hosts/c", "x");
    b.time.run_for(1min);
    assert_true(b.has("g"));
    b.etcd.keys.erase("/r/l/hosts/b");
    b.time.run_for(9s);
    assert_true(b.has("g"));
    assert_true(b.view.gateways().at("g").missed_since_us > 0);
    b.time.run_for(4s);
    assert_false(b.has("g"));
    assert_true(b.has("h"));
    assert_false(b.view.gateways().contains("g"));
}


void a_host_that_is_back_in_time_keeps_its_gateways(void **)
{
    bench b;
    b.put("g", "b");
    for (int i = 0; i < 10; ++i) {
        b.time.run_for(8s);
        b.etcd.put("/r/l/hosts/b", "x");
        b.time.run_for(2s);
        b.etcd.keys.erase("/r/l/hosts/b");
    }
    assert_true(b.has("g"));
}


/// It comes back between the read that misses it and the removal.
void a_host_that_is_back_at_the_last_moment_keeps_them_too(void **)
{
    bench b;
    b.put("g", "b");
    b.way.request_takes = 500ms;
    while (b.way.sent.size() < 2 || b.time.now() < 11s) {
        b.time.run_for(100ms);
    }
    b.etcd.put("/r/l/hosts/b", "x");
    b.time.run_for(10s);
    assert_true(b.has("g"));
}


void the_time_counts_only_while_etcd_answers(void **)
{
    bench b;
    b.put("g", "b");
    b.time.run_for(5s);
    b.way.loses_requests = true;
    b.time.run_for(5min);
    b.way.loses_requests = false;
    b.time.run_for(3s);
    assert_true(b.has("g"));
    b.time.run_for(10s);
    assert_false(b.has("g"));
}


void the_time_begins_anew_with_each_leader(void **)
{
    bench b;
    b.put("g", "b");
    for (int i = 0; i < 5; ++i) {
        b.time.run_for(8s);
        b.elect();
    }
    assert_true(b.has("g"));
    b.time.run_for(14s);
    assert_false(b.has("g"));
}


/// It has not noticed yet.
void one_that_leads_no_more_removes_nothing(void **)
{
    bench b;
    b.put("g", "b");
    b.time.run_for(5s);
    b.etcd.keys.erase(leader_key);
    b.etcd.put(leader_key, "another");
    b.time.run_for(1min);
    assert_true(b.has("g"));
    b.view.lead(0);
    b.time.run_for(1min);
    assert_true(b.view.gateways().empty());
    const auto calls = b.way.sent.size();
    b.view.poll();
    b.time.run_for(1min);
    assert_int_equal(b.way.sent.size(), calls);
}


void zero_waits_for_ever(void **)
{
    bench b;
    b.view.wait_for_isolated(0s);
    b.put("g", "b");
    b.etcd.put("/r/l/gateways/d", "damaged");
    b.time.run_for(10min);
    assert_true(b.has("g"));
    assert_true(b.has("d"));
}


void a_damaged_record_may_be_mended_and_is_removed_else(void **)
{
    bench b;
    b.etcd.put("/r/l/hosts/b", "x");
    b.etcd.put("/r/l/gateways/g", "damaged");
    b.etcd.put("/r/l/gateways/%", "no name");
    b.time.run_for(20s);
    assert_int_equal(b.view.gateways().at("g").followed(), 0);
    assert_false(b.view.gateways().at("g").is_reachable());
    b.put("g", "b", 5);
    b.time.run_for(20s);
    assert_int_equal(b.view.gateways().at("g").followed(), 5);
    assert_int_equal(b.view.gateways().size(), 1);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_before_a_read_is_known),
        cmocka_unit_test(a_change_during_a_read_is_read_soon),
        cmocka_unit_test(changes_that_come_fast_share_reads),
        cmocka_unit_test(the_gateways_of_a_host_that_is_away_are_waited_for_and_then_removed),
        cmocka_unit_test(a_host_that_is_back_in_time_keeps_its_gateways),
        cmocka_unit_test(a_host_that_is_back_at_the_last_moment_keeps_them_too),
        cmocka_unit_test(the_time_counts_only_while_etcd_answers),
        cmocka_unit_test(the_time_begins_anew_with_each_leader),
        cmocka_unit_test(one_that_leads_no_more_removes_nothing),
        cmocka_unit_test(zero_waits_for_ever),
        cmocka_unit_test(a_damaged_record_may_be_mended_and_is_removed_else),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
