#include "worker/etcd/endpoints.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"

#include <string>

namespace {

using rollout::etcd::endpoints;
using namespace std::chrono_literals;

/// Three members and a clock. Without chance a pause has its whole length.
struct bench {
    double chance = 0;
    fake_clock time;
    endpoints of{3, 1, [this] { return chance; }};

    /// The next attempt, at its time: `index after wait`.
    std::string try_next()
    {
        const auto choice = of.next(time.now());
        time.run_for(choice.wait);
        of.on_attempt(choice.index, time.now());
        return std::to_string(choice.index) + " after " + std::to_string(choice.wait.count());
    }

    std::string try_next_and_fail()
    {
        const auto tried = try_next();
        of.on_failure(static_cast<std::size_t>(tried[0] - '0'), time.now());
        return tried;
    }
};


void the_first_one_is_used_while_it_works(void **)
{
    bench b;
    assert_text(b.try_next(), "1 after 0");
    b.of.on_success(1);
    assert_text(b.try_next(), "1 after 0");
    assert_false(b.of.all_down());
}


void a_failure_leads_to_the_next_one_at_once(void **)
{
    bench b;
    assert_text(b.try_next_and_fail(), "1 after 0");
    assert_text(b.try_next(), "2 after 0");
    b.of.on_success(2);
    b.time.run_for(1min);
    assert_text(b.try_next(), "2 after 0"); // and stays there, though the first one may be back
}


void one_that_has_failed_is_passed_over_for_its_pause(void **)
{
    bench b;
    b.try_next_and_fail();
    assert_text(b.try_next(), "2 after 0");
    b.of.on_success(2);
    b.time.run_for(50ms);
    b.of.on_failure(2, b.time.now());
    assert_text(b.try_next_and_fail(), "0 after 0");
}


void a_pause_is_waited_for_when_the_others_are_in_theirs(void **)
{
    fake_clock time;
    endpoints of(2, 0, [] { return 0.0; });
    of.on_attempt(0, time.now());
    assert_true(of.on_failure(0, time.now()));
    time.run_for(30ms);
    of.on_attempt(1, time.now());
    of.on_success(1);
    of.leave(1); // it answers, but does not serve
    assert_int_equal(of.next(time.now()).index, 1);
    assert_int_equal(of.next(time.now()).wait.count(), 0);
    time.run_for(70ms);
    assert_int_equal(of.next(time.now()).index, 0); // its pause is over
}


void if_all_have_failed_one_is_tried_a_second_in_turn(void **)
{
    bench b;
    assert_text(b.try_next_and_fail(), "1 after 0");
    assert_text(b.try_next_and_fail(), "2 after 0");
    assert_text(b.try_next_and_fail(), "0 after 0");
    assert_true(b.of.all_down());
    for (int round = 0; round < 10; ++round) { // also when their own pauses have grown to 5 s
        assert_text(b.try_next_and_fail(), "1 after 1000");
        assert_text(b.try_next_and_fail(), "2 after 1000");
        assert_text(b.try_next_and_fail(), "0 after 1000");
    }
    assert_text(b.try_next(), "1 after 1000");
    b.of.on_success(1);
    assert_false(b.of.all_down());
}


void a_long_attempt_is_part_of_the_second(void **)
{
    bench b;
    b.try_next_and_fail();
    b.try_next_and_fail();
    b.try_next();
    b.time.run_for(700ms);
    b.of.on_failure(0, b.time.now());
    assert_text(b.try_next(), "1 after 300");
    b.time.run_for(2s);
    b.of.on_failure(1, b.time.now());
    assert_text(b.try_next(), "2 after 0");
}


void the_only_one_is_tried_again_after_a_short_pause(void **)
{
    fake_clock time;
    endpoints of(1, 0, [] { return 0.5; });
    of.on_attempt(0, time.now());
    of.on_success(0);
    time.run_for(1h);
    assert_true(of.on_failure(0, time.now()));
    assert_int_equal(of.next(time.now()).wait.count(), 75); // chance has taken a quarter
    time.run_for(75ms);
    of.on_attempt(0, time.now());
    assert_false(of.on_failure(0, time.now()));
    assert_int_equal(of.next(time.now()).wait.count(), 1000);
}


/// The pause after so many failures, while another endpoint works.
long long pause_after(unsigned failures, double chance)
{
    fake_clock time;
    endpoints of(2, 0, [chance] { return chance; });
    for (unsigned i = 0; i < failures; ++i) {
        of.on_failure(0, time.now());
    }
    of.leave(1); // next() begins at endpoint 0
    const auto end = time.now() + 1min;
    const auto began = time.now();
    while (of.next(time.now()).index != 0 && time.now() < end) {
        time.run_for(1ms);
    }
    return (time.now() - began).count();
}


void pauses_are_doubled_up_to_five_seconds_and_chance_takes_up_to_half(void **)
{
    assert_int_equal(pause_after(1, 0), 100);
    assert_int_equal(pause_after(2, 0), 200);
    assert_int_equal(pause_after(6, 0), 3200);
    assert_int_equal(pause_after(7, 0), 5000);
    assert_int_equal(pause_after(1000, 0), 5000);
    assert_int_equal(pause_after(1, 0.999), 50);
    assert_int_equal(pause_after(7, 0.5), 3750);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_first_one_is_used_while_it_works),
        cmocka_unit_test(a_failure_leads_to_the_next_one_at_once),
        cmocka_unit_test(one_that_has_failed_is_passed_over_for_its_pause),
        cmocka_unit_test(a_pause_is_waited_for_when_the_others_are_in_theirs),
        cmocka_unit_test(if_all_have_failed_one_is_tried_a_second_in_turn),
        cmocka_unit_test(a_long_attempt_is_part_of_the_second),
        cmocka_unit_test(the_only_one_is_tried_again_after_a_short_pause),
        cmocka_unit_test(pauses_are_doubled_up_to_five_seconds_and_chance_takes_up_to_half),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
