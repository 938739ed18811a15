// A client's verb, by where the task is: the control alone, with a task at work that a test plays.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "tests/unit/logged.hpp"
#include "worker/scheduler/task_control.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;
using rollout::task_kind;
using rollout::task_position;
using rollout::task_status;
using rollout::task_verb;

struct control_and_task : scheduler_parts {
    rollout::task_control::surroundings around()
    {
        return {[this](const rollout::task_name &which) {
                    ++looks;
                    return queues.contains(which) ? task_position::queued : position;
                },
                [this](const std::string &model_id, task_verb verb, rollout::task_control::steered_fn done) {
                    steered = std::string(rollout::verb_name(verb)) + " " + model_id;
                    on_durable = std::move(done);
                    return objection;
                }};
    }

    void ask(const std::string &task_id, task_verb verb, task_kind kind = task_kind::deploy,
             const std::string &new_task_id = "")
    {
        control.steer({kind, task_id, verb, new_task_id}, client());
    }

    std::string steer(const std::string &task_id, task_verb verb, task_kind kind = task_kind::deploy)
    {
        ask(task_id, verb, kind);
        time.settle();
        return answer();
    }

    task_position position = task_position::between; ///< of a task that does not wait
    int looks = 0;
    std::string objection; ///< of the task at work
    std::string steered;   ///< what the task at work was told
    rollout::task_control::steered_fn on_durable;

    rollout::settings config;
    rollout::model_registry models;
    rollout::queue_cancellation cancellation{queues, journal, time, [] {}};
    rollout::task_intake intake{std::shared_ptr<const rollout::settings>(std::shared_ptr<void>(), &config), journal,
                                time};
    rollout::follow_ups followers{intake, models, journal,
                                  [](const std::string &, const std::string &) { return true; }};
    rollout::task_control control{journal, time, cancellation, followers, around()};
};

void a_task_that_there_is_not_is_named(void **)
{
    control_and_task world;
    assert_text(world.steer("t", task_verb::cancel), "404 There is no deployment task \"t\".");
    world.queue("t", "m");
    assert_text(world.steer("t", task_verb::cancel, task_kind::remove), "404 There is no deletion task \"t\".");
}

void what_cannot_be_read_is_left_as_it_is(void **)
{
    control_and_task world;
    world.queue("t", "m");
    world.journal.failing_reads = 1;
    assert_text(world.steer("t", task_verb::cancel), "500 The task could not be read, and nothing was changed: the "
                                                     "disk does not answer. Retry after fixing the cause.");
    world.store("other", "m");
    for (const auto &damaged : {std::string("{\"half"), world.file.tasks.at("other").document}) {
        world.file.tasks["t"].document = damaged;
        assert_text(world.steer("t", task_verb::cancel),
                    "500 The journal's entry of the task cannot be read; nothing was changed.");
    }
    assert_text(world.waiting("m"), "t");
}

void a_verb_for_a_revision_that_the_task_is_not_at_changes_nothing(void **)
{
    control_and_task world;
    world.queue("t", "m");
    const auto now = world.file.tasks.at("t").revision;
    const auto steer_at = [&world](std::vector<std::uint64_t> revisions) {
        world.control.steer({task_kind::deploy, "t", task_verb::cancel, "", {}, std::move(revisions)},
                            world.client());
        world.time.settle();
        return world.answer();
    };
    const std::string refused = "412 The task has changed since the version that If-Match names; read it again.";
    assert_text(steer_at({}), refused);
    assert_text(steer_at({now + 1}), refused);
    assert_text(world.waiting("m"), "t");
    assert_text(steer_at({now + 1, now}), "t canceled");
    assert_text(steer_at({now}), refused);
}

void a_task_that_waits_can_be_canceled_and_nothing_else(void **)
{
    control_and_task world;
    world.queue("t", "m");
    for (const auto verb : {task_verb::promote, task_verb::pause, task_verb::resume}) {
        assert_text(world.steer("t", verb), "409 Task \"t\" waits for its turn; " +
                                                std::string(rollout::verb_name(verb)) +
                                                " is for a deployment that runs.");
    }
    assert_text(world.steer("t", task_verb::retry),
                "409 Task \"t\" is pending; only a task that has ended can be retried.");
    assert_text(world.steer("t", task_verb::rollback),
                "409 Task \"t\" is pending; only a completed deployment can be rolled back. Cancel it.");
    assert_text(world.steer("t", task_verb::cancel), "t canceled");
    assert_text(world.waiting("m"), "");
}

void while_a_cancel_is_written_another_one_joins_it(void **)
{
    control_and_task world;
    world.queue("t", "m");
    world.journal.held = true;
    assert_text(world.steer("t", task_verb::cancel), "");
    assert_text(world.steer("t", task_verb::cancel), "");
    assert_text(world.steer("t", task_verb::promote), "409 Task \"t\" is being canceled.");
    world.journal.release();
    world.time.settle();
    assert_int_equal(world.answers.size(), 2);
    assert_text(world.answers[0], "t canceled");
    assert_text(world.answers[1], "t canceled");
}

void the_task_at_work_is_told_and_the_answer_comes_once_that_is_durable(void **)
{
    control_and_task world;
    world.store("t", "m", task_status::in_progress);
    world.position = task_position::running;
    assert_text(world.steer("t", task_verb::pause), "");
    assert_text(world.steered, "pause m");
    const std::string log = logged([&] { world.on_durable(outcome::ok(), world.file.tasks.at("t")); });
    assert_text(world.answer(), "t in_progress");
    assert_holds(log, "A client steers a task");

    world.ask("t", task_verb::cancel);
    world.time.settle();
    world.on_durable(outcome::transient("the disk is full"), {});
    assert_text(world.answer(),
                "500 The cancel of task \"t\" could not be made durable, and the task continues without it: the "
                "disk is full. Retry after fixing the cause.");
}

void what_the_task_at_work_objects_to_is_refused(void **)
{
    control_and_task world;
    world.store("t", "m", task_status::in_progress);
    world.position = task_position::running;
    world.objection = "It is paused already.";
    assert_text(world.steer("t", task_verb::pause), "409 It is paused already.");
}

void a_task_on_its_way_to_another_position_is_waited_for(void **)
{
    for (const auto position : {task_position::between, task_position::starting, task_position::steered}) {
        control_and_task world;
        world.store("t", "m", task_status::in_progress);
        world.position = position;
        assert_text(world.steer("t", task_verb::pause), "");
        world.time.run_for(1s);
        assert_true(world.looks > 1);
        assert_text(world.steered, "");
        world.position = task_position::running;
        world.time.run_for(1s);
        assert_text(world.steered, "pause m");
    }
}

void one_that_never_arrives_is_waited_for_with_a_bound(void **)
{
    control_and_task world;
    world.store("t", "m", task_status::in_progress);
    world.ask("t", task_verb::pause);
    world.time.run_for(1h);
    assert_text(world.answer(), "503 Task \"t\" is between two states, and nothing was changed; try again.");
    assert_int_equal(world.looks, 101);
}

void a_task_that_is_over_takes_only_what_makes_a_new_one(void **)
{
    control_and_task world;
    world.store("t", "m", task_status::failed);
    for (const auto verb : {task_verb::cancel, task_verb::promote, task_verb::pause, task_verb::resume}) {
        assert_text(world.steer("t", verb), "409 Task \"t\" is over: it is failed, and there is nothing to " +
                                                std::string(rollout::verb_name(verb)) + ".");
    }
    assert_text(world.steer("t", task_verb::rollback),
                "409 Task \"t\" is failed; only a completed deployment can be rolled back.");
    assert_int_equal(world.looks, 0);
}

void two_requests_at_once_with_one_id_make_one_task(void **)
{
    control_and_task world;
    world.config.artifacts.source = "file:///srv/models/{model_id}";
    world.config.backends["default"].upstream = "inference";
    world.store("t", "m", task_status::failed);
    world.ask("t", task_verb::retry, task_kind::deploy, "new");
    world.ask("t", task_verb::retry, task_kind::deploy, "new");
    world.time.run_for(1s);
    assert_int_equal(world.answers.size(), 2);
    assert_text(world.answers[0], "new new pending");
    assert_text(world.answers[1], "new pending");
    assert_int_equal(world.file.tasks.size(), 2);
}

void a_stop_answers_those_that_wait_and_those_that_come(void **)
{
    control_and_task world;
    world.store("t", "m", task_status::in_progress);
    world.queue("u", "m");
    assert_text(world.steer("t", task_verb::pause), "");
    world.control.stop();
    assert_text(world.answer(), "503 rolloutd is stopping, and nothing was changed; try again.");
    assert_text(world.steer("u", task_verb::cancel), "503 rolloutd is stopping, and nothing was changed; try again.");
    assert_text(world.waiting("m"), "u");
    world.time.run_for(1h);
    assert_true(world.answers.empty());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_there_is_not_is_named),
        cmocka_unit_test(what_cannot_be_read_is_left_as_it_is),
        cmocka_unit_test(a_verb_for_a_revision_that_the_task_is_not_at_changes_nothing),
        cmocka_unit_test(a_task_that_waits_can_be_canceled_and_nothing_else),
        cmocka_unit_test(while_a_cancel_is_written_another_one_joins_it),
        cmocka_unit_test(the_task_at_work_is_told_and_the_answer_comes_once_that_is_durable),
        cmocka_unit_test(what_the_task_at_work_objects_to_is_refused),
        cmocka_unit_test(a_task_on_its_way_to_another_position_is_waited_for),
        cmocka_unit_test(one_that_never_arrives_is_waited_for_with_a_bound),
        cmocka_unit_test(a_task_that_is_over_takes_only_what_makes_a_new_one),
        cmocka_unit_test(two_requests_at_once_with_one_id_make_one_task),
        cmocka_unit_test(a_stop_answers_those_that_wait_and_those_that_come),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
