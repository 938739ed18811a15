#include "worker/journal/etcd/read_index.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd_store.hpp"

#include <vector>

namespace {

using namespace rollout::cluster;
using namespace std::chrono_literals;

struct asking {
    fake_clock time;
    fake_etcd_store etcd{time};
    keys names{"/r/"};
    unsigned reads = 0;
    std::vector<bool> told;
    read_index index{counting(), time, names};

    store counting()
    {
        auto calls = etcd.store();
        return {calls.txn, [this, calls](rollout::etcd::range_request request,
                                         rollout::etcd::answer_fn<rollout::etcd::range_answer> done) {
                    ++reads;
                    return calls.range(std::move(request), std::move(done));
                }};
    }

    void ask()
    {
        index.ask([this](bool current) { told.push_back(current); });
    }
};


void who_asks_waits_until_the_replica_has_what_was_written_before(void **)
{
    asking a;
    const auto revision = a.etcd.put(a.names.position(), "w 1");
    a.ask();
    a.time.run_for(100ms);
    assert_int_equal(a.told.size(), 0);
    a.index.on_applied(revision - 1);
    a.time.run_for(100ms);
    assert_int_equal(a.told.size(), 0);
    assert_true(a.index.busy());
    a.index.on_applied(revision);
    a.time.settle();
    assert_true((a.told == std::vector<bool>{true}));
    assert_false(a.index.busy());
    a.ask(); // it has it already
    assert_int_equal(a.told.size(), 1);
    a.time.run_for(10ms);
    assert_true((a.told == std::vector<bool>{true, true}));
}


void one_read_is_for_all_who_asked_before_it_began(void **)
{
    asking a;
    a.index.on_applied(a.etcd.put(a.names.position(), "w 1"));
    for (int i = 0; i < 100; ++i) {
        a.ask();
    }
    a.time.run_for(100ms);
    assert_int_equal(a.told.size(), 100);
    assert_int_equal(a.reads, 2); // the first asked alone, the others while it was under way

    // Who asks while a read is under way may have seen a write that the read has not.
    a.etcd.takes = 10ms;
    a.ask();
    a.time.run_for(5ms);
    const auto revision = a.etcd.put(a.names.position(), "w 2");
    a.ask();
    a.time.run_for(100ms);
    a.index.on_applied(revision);
    a.time.settle();
    assert_int_equal(a.told.size(), 102);
    assert_int_equal(a.reads, 4);
}


void without_an_answer_it_says_so_and_spares_those_who_ask_soon(void **)
{
    using rollout::etcd::failure;
    asking a;
    a.etcd.put(a.names.position(), "w 1");
    a.etcd.refuses_reads = failure{failure::kind::unavailable, failure::cause::timed_out, "no answer"};
    a.ask();
    a.ask();
    a.time.run_for(10ms);
    assert_true((a.told == std::vector<bool>{false, false}));
    a.ask();
    a.time.run_for(10ms);
    assert_int_equal(a.told.size(), 3);
    assert_int_equal(a.reads, 1);
    a.time.run_for(read_index::away_time);
    a.etcd.refuses_reads.reset();
    a.index.on_applied(a.etcd.revision);
    a.ask();
    a.time.run_for(10ms);
    assert_true((a.told == std::vector<bool>{false, false, false, true}));
}


void a_replica_that_does_not_come_so_far_is_not_waited_for_for_ever(void **)
{
    asking a;
    a.etcd.put(a.names.position(), "w 1");
    a.ask();
    a.time.run_for(read_index::apply_time + 10ms);
    assert_true((a.told == std::vector<bool>{false}));
    assert_false(a.index.busy());
    a.index.on_applied(a.etcd.revision);
    a.time.settle();
    assert_int_equal(a.told.size(), 1);
}


void nothing_written_is_everything_known(void **)
{
    asking a;
    a.ask();
    a.time.run_for(10ms);
    assert_true((a.told == std::vector<bool>{true}));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_waits_until_the_replica_has_what_was_written_before),
        cmocka_unit_test(one_read_is_for_all_who_asked_before_it_began),
        cmocka_unit_test(without_an_answer_it_says_so_and_spares_those_who_ask_soon),
        cmocka_unit_test(a_replica_that_does_not_come_so_far_is_not_waited_for_for_ever),
        cmocka_unit_test(nothing_written_is_everything_known),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
