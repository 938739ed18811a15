#include "worker/etcd/keep_alive.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace rollout::etcd;
using namespace std::chrono_literals;
using rollout::operation;
using rollout::operation_ptr;

/// A lease of 4 s, renewed by what the test says, `took` after each was sent.
struct bench {
    fake_clock time;
    std::chrono::milliseconds began = time.now();
    std::chrono::milliseconds took{10};
    answer<lease_answer> says = lease_answer{{}, 7, 4s};
    bool silent = false;
    std::vector<long long> sent; ///< when each renewal was sent
    std::string lost;
    long long lost_at = 0;
    std::unique_ptr<keep_alive> lease = std::make_unique<keep_alive>(
        [this](lease_renewal request, answer_fn<lease_answer> done) -> operation_ptr {
            assert_int_equal(request.id, 7);
            sent.push_back(since_start());
            return time.after(silent ? 1h : took, [this, done = std::move(done)] { done(says); });
        },
        time, lease_answer{{}, 7, 4s}, began,
        [this](const std::string &why) {
            lost += why;
            lost_at = since_start();
            lease.reset(); // as its owner may
        });

    long long since_start() const { return (time.now() - began).count(); }
};


void it_is_renewed_four_times_in_its_time_and_lives_from_the_sending(void **)
{
    bench b;
    assert_true(b.lease->lives());
    b.time.run_for(3100ms);
    assert_true((b.sent == std::vector<long long>{1000, 2010, 3020}));
    assert_int_equal((b.lease->until() - b.began).count(), 3020 + 4000);
    b.time.run_for(1min);
    assert_true(b.lease->lives());
    assert_text(b.lost, "");
}


void an_answer_that_it_has_ended_loses_it_at_once(void **)
{
    bench b;
    b.says = lease_answer{{}, 7, 0s};
    b.time.run_for(1min);
    assert_text(b.lost, "etcd has ended the lease");
    assert_int_equal(b.lost_at, 1010);
    assert_int_equal(b.sent.size(), 1);
}


void so_does_an_etcd_that_does_not_know_it(void **)
{
    bench b;
    b.says = failure{failure::kind::refused, failure::cause::lease_not_found, "no such lease"};
    b.time.run_for(1min);
    assert_text(b.lost, "no such lease");
}


void other_failures_are_passed_over_while_its_time_lasts(void **)
{
    bench b;
    b.says = failure{failure::kind::unavailable, failure::cause::unreachable, "etcd is away"};
    b.time.run_for(3s);
    assert_true(b.lease->lives());
    b.says = lease_answer{{}, 7, 4s};
    b.time.run_for(10s);
    assert_text(b.lost, "");
    b.says = failure{failure::kind::unavailable, failure::cause::unreachable, "etcd is away"};
    const auto until = (b.lease->until() - b.began).count();
    b.time.run_for(1min);
    assert_text(b.lost, "the lease was not renewed within 4 s: etcd is away");
    assert_int_equal(b.lost_at, until);
}


void one_that_took_half_of_its_time_to_fail_is_followed_by_another_soon(void **)
{
    bench b;
    b.took = 2s;
    b.says = failure{failure::kind::unavailable, failure::cause::timed_out, "the member is silent"};
    b.time.run_for(3100ms);
    b.took = 10ms;
    b.says = lease_answer{{}, 7, 4s};
    b.time.run_for(1min);
    assert_true(b.sent[0] == 1000 && b.sent[1] == 3250 && b.sent[2] == 4260);
    assert_text(b.lost, "");
}


void a_renewal_without_an_answer_loses_it_when_its_time_is_over(void **)
{
    bench b;
    b.silent = true;
    b.time.run_for(1min);
    assert_text(b.lost, "the lease was not renewed within 4 s");
    assert_int_equal(b.lost_at, 4000);
    assert_int_equal(b.sent.size(), 1);
}


void a_longer_time_than_was_asked_for_is_taken(void **)
{
    bench b;
    b.says = lease_answer{{}, 7, 20s};
    b.time.run_for(1100ms);
    assert_int_equal((b.lease->until() - b.began).count(), 21000);
}


void destroyed_it_renews_nothing_more(void **)
{
    bench b;
    b.time.run_for(1005ms); // with one under way
    b.lease.reset();
    b.time.run_for(1min);
    assert_int_equal(b.sent.size(), 1);
    assert_text(b.lost, "");
    assert_false(b.time.waits());
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_is_renewed_four_times_in_its_time_and_lives_from_the_sending),
        cmocka_unit_test(an_answer_that_it_has_ended_loses_it_at_once),
        cmocka_unit_test(so_does_an_etcd_that_does_not_know_it),
        cmocka_unit_test(other_failures_are_passed_over_while_its_time_lasts),
        cmocka_unit_test(one_that_took_half_of_its_time_to_fail_is_followed_by_another_soon),
        cmocka_unit_test(a_renewal_without_an_answer_loses_it_when_its_time_is_over),
        cmocka_unit_test(a_longer_time_than_was_asked_for_is_taken),
        cmocka_unit_test(destroyed_it_renews_nothing_more),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
