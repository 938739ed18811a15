#include "worker/async/combine.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/fakes/fake_work.hpp"

#include <string>
#include <vector>

namespace {

using rollout::operation_ptr;
using rollout::outcome;
using rollout::start_fn;
using namespace std::chrono_literals;

/// A clock, a list of what happened in its order, and the operation under test, which its own callback destroys.
struct bench {
    fake_clock time;
    std::vector<std::string> happened;
    operation_ptr under_test;

    start_fn part(const std::string &name, outcome how = outcome::ok(), bool held = false)
    {
        return [this, name, how, held](rollout::done_fn done) {
            happened.push_back(name);
            return std::make_unique<fake_work>(
                time, held, [how] { return how; }, std::move(done));
        };
    }

    /// Notes the end, and destroys the operation from inside its callback.
    rollout::done_fn end()
    {
        return [this](const outcome &how) {
            static constexpr const char *kinds[] = {"ok", "transient", "permanent", "canceled"};
            happened.push_back(std::string(kinds[static_cast<int>(how.is)]) +
                               (how.detail.empty() ? "" : ": " + how.detail));
            under_test.reset();
        };
    }

    std::string transcript()
    {
        std::string all;
        for (const auto &line : happened) {
            all += (all.empty() ? "" : ", ") + line;
        }
        return all;
    }
};


void parts_run_one_after_the_other_and_their_details_are_those_of_the_whole(void **)
{
    bench b;
    b.under_test =
        in_order(b.time, {b.part("a", outcome::ok("first")), b.part("b"), b.part("c", outcome::ok("last"))}, b.end());
    assert_text(b.transcript(), "a");
    b.time.run_for(1s);
    assert_text(b.transcript(), "a, b, c, ok: first; last");
}


void the_first_failure_ends_a_sequence(void **)
{
    bench b;
    b.under_test = in_order(b.time, {b.part("a"), b.part("b", outcome::transient("no")), b.part("c")}, b.end());
    b.time.run_for(1s);
    assert_text(b.transcript(), "a, b, transient: no");
}


void each_in_turn_goes_on_after_a_failure_and_ends_with_the_first(void **)
{
    bench b;
    b.under_test = each_in_turn(
        b.time, {b.part("a", outcome::permanent("no")), b.part("b", outcome::transient("neither")), b.part("c")},
        b.end());
    b.time.run_for(1s);
    assert_text(b.transcript(), "a, b, c, permanent: no");
}


void nothing_to_do_ends_well_and_from_the_loop(void **)
{
    bench b;
    b.under_test = in_order(b.time, {}, b.end());
    assert_text(b.transcript(), "");
    b.time.run_for(1s);
    assert_text(b.transcript(), "ok");
}


void a_cancel_ends_the_part_and_nothing_begins_after_it(void **)
{
    bench b;
    b.under_test = in_order(b.time, {b.part("a", outcome::ok(), true), b.part("b")}, b.end());
    b.under_test->cancel();
    b.under_test->cancel(); // once more changes nothing
    assert_text(b.transcript(), "a");
    b.time.run_for(1s);
    assert_text(b.transcript(), "a, canceled: canceled");
}


void a_part_that_ends_well_before_the_cancel_reaches_it_is_the_last(void **)
{
    bench b;
    b.under_test = in_order(b.time, {b.part("a"), b.part("b")}, b.end());
    b.time.next(); // the part has had its effect, and its answer is on its way
    b.under_test->cancel();
    b.time.run_for(1s);
    assert_text(b.transcript(), "a, canceled: canceled");
}


void attempts_are_repeated_with_pauses_that_grow_tenfold_at_most(void **)
{
    bench b;
    std::vector<long long> at;
    const start_fn attempt = [&](rollout::done_fn done) {
        at.push_back(b.time.now().count());
        return ended(b.time, outcome::transient("not yet"), std::move(done));
    };
    b.under_test = try_until(
        b.time, attempt, 10ms, 10s, [](const std::string &last) { return outcome::permanent("late: " + last); },
        b.end());
    b.time.run_for(20s);
    assert_text(b.transcript(), "permanent: late: not yet");
    std::string pauses;
    for (std::size_t i = 1; i < 8; ++i) {
        pauses += std::to_string(at[i] - at[i - 1]) + " ";
    }
    assert_text(pauses, "10 20 40 80 100 100 100 ");
    assert_int_equal(at.back() - at.front(), 10000); // the last attempt is at the limit itself
}


void an_attempt_that_fails_for_good_is_not_repeated(void **)
{
    bench b;
    b.under_test = try_until(
        b.time, b.part("a", outcome::permanent("no")), 10ms, 10s, [](const std::string &) { return outcome::ok(); },
        b.end());
    b.time.run_for(20s);
    assert_text(b.transcript(), "a, permanent: no");
}


void a_cancel_between_two_attempts_ends_the_pause(void **)
{
    bench b;
    b.under_test = try_until(
        b.time, b.part("a", outcome::transient("not yet")), 60s, 3600s,
        [](const std::string &) { return outcome::ok(); }, b.end());
    b.time.run_for(1s);
    b.under_test->cancel();
    assert_text(b.transcript(), "a");
    b.time.settle();
    assert_text(b.transcript(), "a, canceled: canceled");
    b.time.run_for(3600s);
    assert_text(b.transcript(), "a, canceled: canceled");
}


void work_within_its_time_ends_as_it_does(void **)
{
    bench b;
    b.under_test = within(b.time, b.part("a", outcome::ok("done")), 1s, outcome::permanent("late"), b.end());
    b.time.run_for(2s);
    assert_text(b.transcript(), "a, ok: done");
}


void work_that_takes_too_long_is_late_once_whatever_it_says_afterwards(void **)
{
    bench b;
    outcome last;
    unsigned calls = 0;
    b.time.least_time = 700ms; // the effect after 0.7 s, the answer after 1.4 s
    operation_ptr kept = within(b.time, b.part("a"), 1s, outcome::permanent("late"), [&](const outcome &how) {
        ++calls;
        last = how;
    });
    b.time.run_for(5s);
    assert_int_equal(calls, 1);
    assert_text(last.detail, "late");
}


void a_destroyed_operation_calls_nobody(void **)
{
    bench b;
    b.under_test = in_order(b.time, {b.part("a"), b.part("b")}, b.end());
    b.under_test.reset();
    b.time.run_for(1s);
    assert_text(b.transcript(), "a");
}


void a_completion_calls_once_and_may_destroy_its_holder(void **)
{
    struct holder {
        rollout::completion<std::string> done;
        std::string words = "kept";
    };
    auto made = std::make_unique<holder>();
    std::vector<std::string> told;
    made->done = [&](const std::string &words) {
        made.reset();
        told.push_back(words);
    };
    assert_true(static_cast<bool>(made->done));
    made->done(made->words);
    assert_int_equal(told.size(), 1);
    assert_text(told.front(), "kept"); // though its holder is gone

    holder other;
    other.done = [&](const std::string &words) { told.push_back(words); };
    other.done("one");
    other.done("two");
    assert_int_equal(told.size(), 2);
    assert_false(static_cast<bool>(other.done));
    other.done.drop();
    other.done("three");
    assert_int_equal(told.size(), 2);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(parts_run_one_after_the_other_and_their_details_are_those_of_the_whole),
        cmocka_unit_test(the_first_failure_ends_a_sequence),
        cmocka_unit_test(each_in_turn_goes_on_after_a_failure_and_ends_with_the_first),
        cmocka_unit_test(nothing_to_do_ends_well_and_from_the_loop),
        cmocka_unit_test(a_cancel_ends_the_part_and_nothing_begins_after_it),
        cmocka_unit_test(a_part_that_ends_well_before_the_cancel_reaches_it_is_the_last),
        cmocka_unit_test(attempts_are_repeated_with_pauses_that_grow_tenfold_at_most),
        cmocka_unit_test(an_attempt_that_fails_for_good_is_not_repeated),
        cmocka_unit_test(a_cancel_between_two_attempts_ends_the_pause),
        cmocka_unit_test(work_within_its_time_ends_as_it_does),
        cmocka_unit_test(work_that_takes_too_long_is_late_once_whatever_it_says_afterwards),
        cmocka_unit_test(a_destroyed_operation_calls_nobody),
        cmocka_unit_test(a_completion_calls_once_and_may_destroy_its_holder),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
