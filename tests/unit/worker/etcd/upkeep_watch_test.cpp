#include "worker/etcd/upkeep_watch.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/logged.hpp"

#include <string>
#include <utility>

namespace {

using namespace rollout;
using namespace rollout::etcd;
using namespace std::chrono_literals;

constexpr std::int64_t mib = 1024 * 1024;

/// A member of which a test says how it is, and how far back its history goes.
class told_member final : public calls {
  public:
    explicit told_member(fake_clock &clock) : time_(clock) { state.db_size_bytes = 20 * mib; }

    status_answer state;
    std::int64_t newest = 5000;
    std::int64_t compacted = 0; ///< what is before that revision is not kept
    bool is_away = false;
    int reads = 0;

    operation_ptr range(range_request request, answer_fn<range_answer> done) override
    {
        assert_text(request.key, "/r/s/meta");
        ++reads;
        return time_.after(1ms, [this, request, done = std::move(done)] {
            if (is_away) {
                done(failure{failure::kind::unavailable, failure::cause::unreachable, "away"});
            } else if (request.revision != 0 && request.revision < compacted) {
                done(failure{failure::kind::refused, failure::cause::compacted, "compacted"});
            } else if (request.revision > newest) {
                done(failure{failure::kind::refused, failure::cause::future_revision, "future"});
            } else {
                done(range_answer{{1, 1, newest, 1}, {}, 1, false});
            }
        });
    }

    operation_ptr status(status_request, answer_fn<status_answer> done) override
    {
        return time_.after(1ms, [this, done = std::move(done)] {
            if (is_away) {
                done(failure{failure::kind::unavailable, failure::cause::unreachable, "away"});
            } else {
                done(state);
            }
        });
    }

    operation_ptr put(put_request, answer_fn<put_answer>) override { return unexpected(); }
    operation_ptr remove(delete_request, answer_fn<delete_answer>) override { return unexpected(); }
    operation_ptr txn(txn_request, answer_fn<txn_answer>) override { return unexpected(); }
    operation_ptr compact(compact_request, answer_fn<compact_answer>) override { return unexpected(); }
    operation_ptr grant(lease_request, answer_fn<lease_answer>) override { return unexpected(); }
    operation_ptr renew(lease_renewal, answer_fn<lease_answer>) override { return unexpected(); }
    operation_ptr revoke(revoke_request, answer_fn<revoke_answer>) override { return unexpected(); }

  private:
    static operation_ptr unexpected()
    {
        fail_msg("this call is not expected");
        return nullptr;
    }

    fake_clock &time_;
};


struct bench {
    bench() { own.start(); }

    /// What is logged in that time, in which a leader ticks.
    std::string log_of(std::chrono::milliseconds span)
    {
        return logged([&] {
            for (auto left = span; left > 0ms; left -= 10min) {
                time.run_for(std::min<std::chrono::milliseconds>(left, 10min));
                member.newest += 300;
            }
        });
    }

    fake_clock time;
    told_member member{time};
    upkeep_watch own{member, time, {"/r/s/meta", 100 * mib}};
};


std::size_t count_of(const std::string &text, const std::string &part)
{
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}


void half_of_the_quota_is_said_once_on_each_side(void **)
{
    bench b;
    assert_text(b.log_of(1min), "");
    b.member.state.db_size_bytes = 50 * mib - 1;
    assert_text(b.log_of(1min), "");
    b.member.state.db_size_bytes = 50 * mib;
    b.member.state.db_used_bytes = 10 * mib;
    const auto above = b.log_of(1h);
    assert_int_equal(count_of(above, "etcd uses 50.0 MiB of its quota of 100.0 MiB, of which 10.0 MiB are in use"),
                     1);
    assert_int_equal(count_of(above, "\"message\""), 1);
    assert_text(b.own.trouble(), "");
    b.member.state.db_size_bytes = 30 * mib;
    const auto below = b.log_of(1h);
    assert_int_equal(count_of(below, "less than half of its quota again: 30.0 MiB of its quota of 100.0 MiB"), 1);
    assert_int_equal(count_of(below, "\"message\""), 1);
    b.member.state.db_size_bytes = 99 * mib;
    assert_int_equal(count_of(b.log_of(1h), "etcd uses 99.0 MiB"), 1);
}


void a_member_that_says_its_quota_is_believed(void **)
{
    bench b;
    b.member.state.quota_bytes = 1000 * mib;
    b.member.state.db_size_bytes = 400 * mib;
    assert_text(b.log_of(1min), "");
    assert_int_equal(b.own.quota_bytes(), 1000 * mib);
    b.member.state.db_size_bytes = 500 * mib;
    assert_holds(b.log_of(1min), "of its quota of 1000.0 MiB");
}


void without_a_quota_there_is_no_half_of_it(void **)
{
    fake_clock time;
    told_member member(time);
    upkeep_watch own(member, time, {"/r/s/meta", 0});
    member.state.db_size_bytes = 100000 * mib;
    assert_text(logged([&] {
                    own.start();
                    time.run_for(1min);
                }),
                "");
}


void an_alarm_is_a_trouble_until_it_is_over(void **)
{
    bench b;
    b.log_of(1min);
    for (const auto &[alarm, words] : {std::pair{"NOSPACE", "etcdctl alarm disarm"}, {"CORRUPT", "replace it"}}) {
        b.member.state.errors = {std::string("memberID:1 alarm:") + alarm + ' '};
        const auto raised = b.log_of(1h);
        assert_int_equal(count_of(raised, std::string("etcd has the alarm ") + alarm), 1);
        assert_int_equal(count_of(raised, "\"message\""), 1);
        assert_holds(b.own.trouble(), words);
        b.member.state.errors.clear();
        assert_int_equal(count_of(b.log_of(1h), "etcd has no alarm any more"), 1);
        assert_text(b.own.trouble(), "");
    }
}


void while_nobody_answers_nothing_is_known(void **)
{
    bench b;
    b.member.state.errors = {"memberID:1 alarm:NOSPACE "};
    b.log_of(1min);
    assert_true(b.own.status().has_value());
    b.member.is_away = true;
    b.log_of(1min);
    assert_false(b.own.status().has_value());
    assert_text(b.own.trouble(), "");
    b.member.is_away = false;
    b.log_of(1min);
    assert_holds(b.own.trouble(), "NOSPACE");
}


void a_history_that_is_compacted_now_and_then_is_no_news(void **)
{
    for (const auto kept : {300, 1800, 40000}) { // ten minutes, an hour, a day
        bench b;
        b.member.newest = 100000;
        b.member.compacted = b.member.newest - kept;
        for (int hour = 0; hour < 30; ++hour) {
            assert_text(b.log_of(1h), "");
            b.member.compacted = b.member.newest - kept;
        }
        assert_true(b.member.reads < 3000); // a search at each compaction, one read else
    }
}


void one_that_is_not_compacted_for_six_hours_is_said_once_until_it_is(void **)
{
    for (const std::int64_t compacted : {0, 3000}) {
        bench b;
        b.member.compacted = compacted;
        assert_text(b.log_of(5h + 50min), "");
        const auto said = b.log_of(20h);
        assert_int_equal(count_of(said, "--auto-compaction-retention=1h"), 1);
        assert_int_equal(count_of(said, "\"message\""), 1);
        b.member.compacted = b.member.newest;
        const auto over = b.log_of(5h);
        assert_int_equal(count_of(over, "is compacted again"), 1);
        assert_int_equal(count_of(over, "\"message\""), 1);
        assert_int_equal(count_of(b.log_of(5h), "was not compacted for 6"), 1);
    }
}


void an_etcd_that_was_restored_begins_anew(void **)
{
    bench b;
    b.member.newest = 100000;
    b.member.compacted = 90000;
    assert_text(b.log_of(5h), "");
    b.member.newest = 50000;
    b.member.compacted = 40000;
    assert_text(b.log_of(5h), "");
    assert_holds(b.log_of(2h), "was not compacted");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(half_of_the_quota_is_said_once_on_each_side),
        cmocka_unit_test(a_member_that_says_its_quota_is_believed),
        cmocka_unit_test(without_a_quota_there_is_no_half_of_it),
        cmocka_unit_test(an_alarm_is_a_trouble_until_it_is_over),
        cmocka_unit_test(while_nobody_answers_nothing_is_known),
        cmocka_unit_test(a_history_that_is_compacted_now_and_then_is_no_news),
        cmocka_unit_test(one_that_is_not_compacted_for_six_hours_is_said_once_until_it_is),
        cmocka_unit_test(an_etcd_that_was_restored_begins_anew),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
