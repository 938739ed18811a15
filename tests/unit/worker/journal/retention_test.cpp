#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "worker/journal/retention.hpp"

#include <algorithm>
#include <iterator>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

constexpr std::int64_t day_us = 86400000000;

struct old_task {
    std::int64_t updated_us;
    bool stays; ///< as its model's latest
};

/// Final tasks by their sequence, which is also the order of their age. Each step takes its time.
class aging_journal final : public fake_journal {
  public:
    aging_journal(journal_file &file, fake_clock &time, std::vector<std::string> &story)
        : fake_journal(file, time, story), time_(time)
    {
    }

    void purge(rollout::purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) override
    {
        rollout::purge_step step = {from, 0, false};
        std::size_t looked_at = 0;
        for (auto at = tasks.upper_bound(from.sequence);
             at != tasks.end() && at->second.updated_us < before_us && looked_at < rows; ++looked_at) {
            step.scanned_up_to = {at->second.updated_us, at->first};
            step.removed += at->second.stays ? 0 : 1;
            at = at->second.stays ? std::next(at) : tasks.erase(at);
        }
        step.more = looked_at == rows;
        most_rows = std::max(most_rows, rows);
        ++steps;
        work_ = time_.after(takes, [this, step, done] {
            done(failing ? outcome::transient("the disk is full") : outcome::ok(), step);
        });
    }

    void count_tasks(std::function<void(outcome, std::uint64_t)> done) override
    {
        ++looks;
        work_ = time_.after(0ms, [this, done] { done(outcome::ok(), tasks.size()); });
    }

    std::map<std::uint64_t, old_task> tasks;
    std::chrono::milliseconds takes{5};
    bool failing = false;
    int looks = 0;
    int steps = 0;
    std::size_t most_rows = 0;

  private:
    fake_clock &time_;
    rollout::operation_ptr work_;
};

struct world {
    journal_file file;
    fake_clock time;
    std::vector<std::string> story;
    aging_journal journal{file, time, story};
    rollout::retention keeping{journal, time};

    /// So many more tasks, that old; each tenth is its model's latest.
    void add(int count, std::int64_t days)
    {
        for (int i = 0; i < count; ++i) {
            const auto sequence = journal.tasks.size() + 1;
            journal.tasks[sequence] = {time.wall_us() - days * day_us, sequence % 10 == 0};
        }
    }
};

void what_is_too_old_goes_and_a_models_latest_stays(void **)
{
    world of;
    of.add(1000, 31);
    of.add(500, 29);
    of.keeping.use({std::chrono::days(30), 1000000});
    of.keeping.start();
    of.time.run_for(10min);
    assert_int_equal(of.journal.tasks.size(), 100 + 500);
    assert_int_equal(of.journal.looks, 1);

    of.time.run_for(23h);
    assert_int_equal(of.journal.tasks.size(), 100 + 500);
    of.time.run_for(2h);
    assert_int_equal(of.journal.tasks.size(), 150);
}

void each_step_is_small_and_rests_four_times_as_long(void **)
{
    world of;
    of.add(1000, 31);
    of.journal.takes = 20ms;
    of.keeping.use({std::chrono::days(30), 1000000});
    of.keeping.start();
    of.time.run_for(1s); // a step is 20 ms and a rest of 80
    assert_in_range(of.journal.steps, 9, 11);
    assert_int_equal(of.journal.most_rows, 10);
    of.time.run_for(10s);
    assert_int_equal(of.journal.tasks.size(), 100);
}

void the_oldest_go_before_their_time_where_there_are_too_many(void **)
{
    world of;
    of.add(1000, 3);
    of.keeping.use({std::chrono::days(30), 700});
    of.keeping.start();
    of.time.run_for(1h - 1s);
    assert_int_equal(of.journal.tasks.size(), 700);
    assert_true(of.journal.tasks.contains(10) && !of.journal.tasks.contains(11));

    of.add(20, 0);
    of.time.run_for(1h);
    assert_int_equal(of.journal.tasks.size(), 700);

    // More than can go: those that stay are left, and it is not tried without end.
    of.keeping.use({std::chrono::days(30), 5});
    of.time.run_for(1h);
    const auto left = of.journal.tasks.size();
    assert_true(std::ranges::all_of(of.journal.tasks, [](const auto &one) { return one.second.stays; }));
    of.time.run_for(5h);
    assert_int_equal(of.journal.tasks.size(), left);
    assert_true(of.journal.looks <= 9);
}

void a_failure_rests_until_the_next_look(void **)
{
    world of;
    of.add(200, 31);
    of.journal.failing = true;
    of.keeping.use({std::chrono::days(30), 1000000});
    of.keeping.start();
    of.time.run_for(59min);
    assert_int_equal(of.journal.steps, 1);
    of.journal.failing = false;
    of.time.run_for(1h);
    assert_true(of.journal.steps > 3);
}

void a_stop_ends_it_between_two_steps(void **)
{
    world of;
    of.add(1000, 31);
    of.keeping.use({std::chrono::days(30), 1000000});
    of.keeping.start();
    of.time.run_for(100ms);
    const auto steps = of.journal.steps;
    of.keeping.stop();
    of.time.run_for(3h);
    assert_int_equal(of.journal.steps, steps);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_old_goes_and_a_models_latest_stays),
        cmocka_unit_test(each_step_is_small_and_rests_four_times_as_long),
        cmocka_unit_test(the_oldest_go_before_their_time_where_there_are_too_many),
        cmocka_unit_test(a_failure_rests_until_the_next_look),
        cmocka_unit_test(a_stop_ends_it_between_two_steps),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
