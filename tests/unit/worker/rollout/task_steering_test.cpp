// What a client's verb does to a run; what the scheduler makes of verbs is in steering_test.cpp.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "worker/rollout/task_steering.hpp"

#include <optional>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;
using rollout::task_verb;

/// A deployment in its step `shift`.
struct steered {
    steered()
    {
        task.task_id = "t";
        task.model_id = model.model_id = "123";
        task.status = rollout::task_status::in_progress;
        task.model_revision = 7;
        task.traffic_weight = 25;
        task.step = "shift";
        file.tasks["t"] = rollout::row_of(task, 1);
        verbs.emplace(task, writer,
                      rollout::task_steering::run_control{.can_be_undone = [this] { return can_be_undone; },
                                                          .is_shifted = [this] { return is_shifted; },
                                                          .end_work = [this] { happened += "work ended; "; }});
    }

    void begin_hold()
    {
        verbs->on_steered = [this] { happened += "hold looks; "; };
    }

    /// Empty if it makes sense.
    std::string steer(task_verb verb)
    {
        return verbs->steer(verb, [this](const outcome &result, const rollout::task_row &) {
            happened += result ? "answered ok; " : "answered with a failure; ";
        });
    }

    journal_file file;
    fake_clock time;
    std::vector<std::string> story;
    fake_journal journal{file, time, story};
    rollout::task task;
    rollout::model model;
    rollout::time_limit limit{time, 1000s, 0ms, [] {}};
    rollout::task_writer writer{journal, time, limit, task, model};
    bool can_be_undone = true;
    bool is_shifted = false;
    std::string happened;
    std::optional<rollout::task_steering> verbs;
};

void a_verb_takes_effect_once_it_is_durable_and_is_answered_then(void **)
{
    steered run;
    assert_text(run.steer(task_verb::cancel), "");
    assert_true(run.verbs->is_under_way());
    assert_text(run.happened, "");
    run.time.settle();
    assert_false(run.verbs->is_under_way());
    assert_text(run.happened, "work ended; answered ok; ");
    assert_true(rollout::task_of(run.file.tasks.at("t"))->cancel_asked);
}

void a_hold_looks_at_what_a_verb_has_changed(void **)
{
    steered run;
    run.begin_hold();
    for (const auto verb : {task_verb::pause, task_verb::resume, task_verb::promote}) {
        run.happened.clear();
        assert_text(run.steer(verb), "");
        run.time.settle();
        assert_text(run.happened, "hold looks; answered ok; ");
    }
    assert_true(run.task.promote_asked);
}

void a_pause_says_whom_the_task_waits_for_and_a_resume_takes_that_back(void **)
{
    steered run;
    run.begin_hold();
    run.steer(task_verb::pause);
    run.time.settle();
    assert_true(run.task.waits_for == rollout::wait_reason::person);
    assert_text(run.task.detail, "Revision 7 has 25 % of the traffic of model 123 and is paused and waits for "
                                 "POST /deploy/t/resume.");
    run.steer(task_verb::resume);
    run.time.settle();
    assert_true(run.task.waits_for == rollout::wait_reason::none);
    assert_text(run.task.detail, "Revision 7 has 25 % of the traffic of model 123.");
}

void a_verb_that_makes_no_sense_now_is_refused_and_changes_nothing(void **)
{
    const struct {
        void (*when)(steered &);
        task_verb verb;
        const char *why;
    } cases[] = {
        {[](steered &) {}, task_verb::promote,
         "Step shift of task t is running; promote is for a hold, or a rollout that waits for it."},
        {[](steered &) {}, task_verb::resume, "Task t is not paused."},
        {[](steered &) {}, task_verb::retry, "Task t runs; retry is for one that has come to its end."},
        {[](steered &run) { run.task.paused = true; }, task_verb::pause, "Task t is paused already."},
        {[](steered &run) { run.task.step = "load"; }, task_verb::pause,
         "Step load of task t is running; only a shift can be paused."},
        {[](steered &run) { run.is_shifted = true; }, task_verb::pause,
         "Step shift of task t is running, and its last hold is over; cancel the task to keep it from promoting."},
        {[](steered &run) { run.can_be_undone = false; }, task_verb::cancel,
         "Step shift of task t is running: revision 7 has been promoted and stays; a completed deployment takes "
         "rollback."},
        {[](steered &run) { run.task.step = "rollback"; }, task_verb::cancel,
         "Task t is rolling back already; wait for it to end."},
        {[](steered &run) { run.task.status = rollout::task_status::completed; }, task_verb::cancel,
         "Task t is completed and accepts no more verbs."},
    };
    for (const auto &one : cases) {
        steered run;
        one.when(run);
        assert_text(run.steer(one.verb), one.why);
        run.time.settle();
        assert_text(run.happened, "");
        assert_true(run.story.empty());
    }
}

void a_verb_that_could_not_be_written_is_taken_back(void **)
{
    for (const auto verb : {task_verb::cancel, task_verb::pause, task_verb::promote}) {
        steered run;
        run.begin_hold();
        run.journal.failing_writes = 1;
        run.steer(verb);
        run.time.settle();
        assert_false(run.task.cancel_asked || run.task.paused || run.task.promote_asked);
        assert_text(run.happened, "hold looks; answered with a failure; ");
    }
}

void a_verb_that_the_run_has_come_upon_already_stays(void **)
{
    steered canceled;
    canceled.journal.failing_writes = 1;
    canceled.steer(task_verb::cancel);
    canceled.task.step = "rollback"; // for that
    canceled.time.settle();
    assert_true(canceled.task.cancel_asked);

    steered promoted;
    promoted.begin_hold();
    promoted.task.paused = true;
    promoted.journal.failing_writes = 1;
    promoted.steer(task_verb::promote);
    promoted.task.promote_asked = false; // the hold has ended for that
    promoted.time.settle();
    assert_false(promoted.task.paused);
}

void a_client_is_answered_though_the_run_is_gone(void **)
{
    steered run;
    run.steer(task_verb::cancel);
    run.verbs.reset();
    run.time.settle();
    assert_text(run.happened, "answered ok; ");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_verb_takes_effect_once_it_is_durable_and_is_answered_then),
        cmocka_unit_test(a_hold_looks_at_what_a_verb_has_changed),
        cmocka_unit_test(a_pause_says_whom_the_task_waits_for_and_a_resume_takes_that_back),
        cmocka_unit_test(a_verb_that_makes_no_sense_now_is_refused_and_changes_nothing),
        cmocka_unit_test(a_verb_that_could_not_be_written_is_taken_back),
        cmocka_unit_test(a_verb_that_the_run_has_come_upon_already_stays),
        cmocka_unit_test(a_client_is_answered_though_the_run_is_gone),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
