// The permit of one run; who gets the next one is in permit_pool_test.cpp.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/fakes/fake_permits.hpp"
#include "worker/rollout/run_permit.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

struct placed {
    placed()
    {
        task.task_id = "t";
        task.model_id = model.model_id = "123";
        task.model_revision = 7;
        task.step = "load";
        file.tasks["t"] = rollout::row_of(task, 1);
    }

    /// Work that lasts that long.
    rollout::start_fn work(std::chrono::milliseconds lasts)
    {
        return [this, lasts](const rollout::done_fn &done) {
            happened += "work; ";
            return time.after(lasts, [done] { done(outcome::ok()); });
        };
    }

    rollout::done_fn done()
    {
        return [this](const outcome &result) { happened += result ? "done; " : result.detail + "; "; };
    }

    journal_file file;
    fake_clock time;
    std::vector<std::string> story;
    fake_journal journal{file, time, story};
    fake_permits permits{time};
    rollout::task task;
    rollout::model model;
    rollout::time_limit limit{time, 1000s, 0ms, [] {}};
    rollout::task_writer writer{journal, time, limit, task, model};
    rollout::run_permit permit{permits, time, limit, writer, task};
    std::string happened;
};

void a_wait_that_is_over_soon_keeps_the_place(void **)
{
    placed run;
    run.permits.holders = {"123"};
    const auto wait = run.permit.wait_without(run.work(999ms), run.done());
    run.time.run_for(999ms);
    assert_text(run.happened, "work; done; ");
    run.permit.keep();
    run.time.run_for(10s);
    assert_true(run.permits.has_permit("123"));
}

void a_wait_that_lasts_gives_the_place_back(void **)
{
    placed run;
    run.permits.holders = {"123"};
    const auto wait = run.permit.wait_without(run.work(10s), run.done());
    run.time.run_for(1s);
    assert_false(run.permits.has_permit("123"));
    assert_text(run.happened, "work; ");
}

void work_with_a_place_begins_at_once(void **)
{
    placed run;
    run.permits.is_full = true;
    run.permits.holders = {"123"};
    const auto work = run.permit.work_with(run.work(0ms), run.done());
    assert_text(run.happened, "work; ");
    assert_false(run.limit.stands());
}

void work_without_a_place_waits_for_one_and_the_time_stands_still(void **)
{
    placed run;
    run.permits.is_full = true;
    const auto work = run.permit.work_with(run.work(0ms), run.done());
    run.time.run_for(100s);
    assert_text(run.happened, "");
    assert_true(run.limit.elapsed() == 0s);
    assert_true(run.task.waits_for == rollout::wait_reason::turn);
    assert_text(run.task.detail, "Step load of revision 7 waits for its turn: as many tasks are worked on as "
                                 "max_concurrent_rollouts allows.");
    run.permits.make_room();
    run.time.settle();
    assert_text(run.happened, "work; done; ");
    assert_false(run.limit.stands());
    assert_true(run.task.waits_for == rollout::wait_reason::none);
    assert_text(rollout::task_of(run.file.tasks.at("t"))->detail, "Step load of revision 7 is running.");
}

void if_there_is_room_nothing_is_said(void **)
{
    placed run;
    const auto work = run.permit.work_with(run.work(0ms), run.done());
    run.time.settle();
    assert_text(run.happened, "work; done; ");
    assert_true(run.story.empty());
}

void a_wait_for_a_place_that_is_canceled_ends_without_the_work(void **)
{
    placed run;
    run.permits.is_full = true;
    const auto work = run.permit.work_with(run.work(0ms), run.done());
    run.time.settle();
    work->cancel();
    run.time.settle();
    assert_text(run.happened, "canceled; ");
    assert_false(run.limit.stands());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_that_is_over_soon_keeps_the_place),
        cmocka_unit_test(a_wait_that_lasts_gives_the_place_back),
        cmocka_unit_test(work_with_a_place_begins_at_once),
        cmocka_unit_test(work_without_a_place_waits_for_one_and_the_time_stands_still),
        cmocka_unit_test(if_there_is_room_nothing_is_said),
        cmocka_unit_test(a_wait_for_a_place_that_is_canceled_ends_without_the_work),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
