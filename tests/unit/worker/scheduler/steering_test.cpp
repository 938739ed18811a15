// A client's word in every state that a task may be in: which is taken, and which is refused with a reason.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

#include <string>

namespace {

using namespace std::chrono_literals;
using rollout::task_kind;
using rollout::task_verb;


/// The answer: "taken", else the problem's status and detail.
std::string steer(fake_world &world, const std::string &task_id, task_verb verb, task_kind kind = task_kind::deploy)
{
    std::string said;
    world.process->tasks.steer({kind, task_id, verb, {}}, [&said](const rollout::request_answer &how) {
        said = how.task != nullptr ? "taken" : std::to_string(how.refused.status) + " " + how.refused.detail;
    });
    world.time.run_until([&said] { return !said.empty(); });
    return said;
}


/// For a word that makes a task: "made" or "found", with the task's id, else the problem's status.
void follow_up(fake_world &world, task_verb verb, const std::string &task_id, const std::string &key,
               std::string &said)
{
    world.process->tasks.steer({task_kind::deploy, task_id, verb, key}, [&said](const rollout::request_answer &how) {
        said = how.task != nullptr ? (how.created ? "made " : "found ") + how.task->task_id
                                   : std::to_string(how.refused.status);
    });
}


std::string follow_up(fake_world &world, task_verb verb, const std::string &task_id, const std::string &key)
{
    std::string said;
    follow_up(world, verb, task_id, key, said);
    world.time.run_until([&said] { return !said.empty(); });
    return said;
}


/// A deployment that has reached that state.
void bring_to(fake_world &world, const std::string &state)
{
    world.deployed("123");
    world.config.rollout.steps = {{30, 600}, {100, 0}};
    if (state == "pending") {
        world.config.limits.max_concurrent_rollouts = 0;
    }
    world.deploy("t", "123");
    if (state == "pending") {
        world.time.settle();
    } else if (state == "completed") {
        assert_text(world.finish("t"), "completed");
    } else {
        assert_true(world.time.run_until([&world] { return world.task("t").traffic_weight == 30; }));
        world.time.run_for(10ms);
        if (state == "paused") {
            assert_text(steer(world, "t", task_verb::pause), "taken");
            world.time.run_for(10ms);
        } else if (state == "canceled") {
            assert_text(steer(world, "t", task_verb::cancel), "taken");
            assert_text(world.finish("t"), "canceled");
        }
    }
}


void each_word_is_taken_where_it_makes_sense_and_refused_with_a_reason_elsewhere(void **)
{
    constexpr struct {
        const char *state;
        task_verb verb;
        const char *said;
    } table[] = {
        {"pending", task_verb::cancel, "taken"},
        {"pending", task_verb::promote, "409 Task \"t\" waits for its turn"},
        {"pending", task_verb::pause, "409 Task \"t\" waits for its turn"},
        {"pending", task_verb::resume, "409 Task \"t\" waits for its turn"},
        {"pending", task_verb::retry, "409 Task \"t\" is pending"},
        {"pending", task_verb::rollback, "409 Task \"t\" is pending"},
        {"held", task_verb::cancel, "taken"},
        {"held", task_verb::promote, "taken"},
        {"held", task_verb::pause, "taken"},
        {"held", task_verb::resume, "409 Task t is not paused"},
        {"held", task_verb::retry, "409 Task \"t\" is in_progress"},
        {"held", task_verb::rollback, "409 Task \"t\" is in_progress"},
        {"paused", task_verb::cancel, "taken"},
        {"paused", task_verb::promote, "taken"},
        {"paused", task_verb::pause, "409 Task t is paused already"},
        {"paused", task_verb::resume, "taken"},
        {"canceled", task_verb::cancel, "409 Task \"t\" is over: it is canceled"},
        {"canceled", task_verb::promote, "409 Task \"t\" is over"},
        {"canceled", task_verb::pause, "409 Task \"t\" is over"},
        {"canceled", task_verb::resume, "409 Task \"t\" is over"},
        {"canceled", task_verb::retry, "taken"},
        {"canceled", task_verb::rollback, "409 Task \"t\" is canceled"},
        {"completed", task_verb::cancel, "409 Task \"t\" is over: it is completed"},
        {"completed", task_verb::retry, "taken"},
        {"completed", task_verb::rollback, "409 No earlier revision of model 123 is kept"},
    };
    for (const auto &one : table) {
        fake_world world;
        bring_to(world, one.state);
        const std::string said = steer(world, "t", one.verb);
        if (!said.starts_with(one.said)) {
            fail_msg("%s, %s: \"%s\"", one.state, std::string(rollout::verb_name(one.verb)).c_str(), said.c_str());
        }
    }
}


/// Every word that a hold takes, and what of it the journal then has.
constexpr struct {
    const char *state;
    task_verb verb;
    bool (*is_written)(const rollout::task &);
} words[] = {
    {"held", task_verb::pause, [](const rollout::task &t) { return t.paused; }},
    {"paused", task_verb::resume, [](const rollout::task &t) { return !t.paused; }},
    {"held", task_verb::promote, [](const rollout::task &t) { return t.promote_asked || t.traffic_weight == 100; }},
    {"held", task_verb::cancel, [](const rollout::task &t) { return t.cancel_asked; }},
};


void a_word_is_answered_when_it_is_durable_and_not_before(void **)
{
    for (const auto &one : words) {
        fake_world world;
        bring_to(world, one.state);
        world.process->journal.held = true;
        bool was_written = false;
        std::string document;
        world.process->tasks.steer({task_kind::deploy, "t", one.verb, {}}, [&](const rollout::request_answer &how) {
            was_written = one.is_written(world.task("t"));
            document = how.task != nullptr ? how.task->document : how.refused.detail;
        });
        world.time.run_for(100ms);
        assert_text(document, "");
        world.process->journal.release();
        world.time.run_until([&] { return !document.empty(); });
        assert_true(was_written);
        const rollout::json_ptr answered = json_of(document);
        assert_true(one.is_written(rollout::task_from_document(answered.get()).value()));
    }
}


void a_word_that_is_not_durable_is_none_and_may_be_said_again(void **)
{
    for (const auto &one : words) {
        fake_world world;
        bring_to(world, one.state);
        const int weight = static_cast<int>(world.task("t").traffic_weight);
        world.process->journal.failing_writes = 1;
        const std::string said = steer(world, "t", one.verb);
        if (!said.starts_with("500 The " + std::string(rollout::verb_name(one.verb)))) {
            fail_msg("%s", said.c_str());
        }
        world.time.run_for(1s);
        assert_int_equal(world.task("t").traffic_weight, weight);
        assert_text(world.status("t"), "in_progress");
        assert_text(steer(world, "t", one.verb), "taken");
        assert_true(one.is_written(world.task("t")));
    }
}


void a_word_while_another_is_being_written_comes_after_it(void **)
{
    fake_world world;
    bring_to(world, "held");
    world.process->journal.held = true;
    world.steer("t", task_verb::pause);
    world.steer("t", task_verb::resume);
    world.time.run_for(100ms);
    assert_int_equal(world.answers.size(), 2); // the two deployments'
    world.process->journal.release();
    world.time.run_for(100ms);
    assert_int_equal(world.answers["pause"].status, 200);
    assert_int_equal(world.answers["resume"].status, 200);
    assert_false(world.task("t").paused);
}


void a_canceled_rollout_leaves_blue_as_it_was(void **)
{
    fake_world world;
    bring_to(world, "canceled");
    assert_text(world.server_holds(), "123__r1");
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_text(world.violations(), "");
}


void a_word_that_was_taken_is_known_after_a_crash(void **)
{
    fake_world paused;
    bring_to(paused, "paused");
    paused.crash();
    paused.time.run_for(700s);
    assert_text(paused.status("t"), "in_progress");
    assert_int_equal(paused.task("t").traffic_weight, 30);
    assert_text(steer(paused, "t", task_verb::resume), "taken");
    assert_text(paused.finish("t"), "completed");

    fake_world canceled;
    bring_to(canceled, "held");
    assert_text(steer(canceled, "t", task_verb::cancel), "taken");
    canceled.crash();
    assert_text(canceled.finish("t"), "canceled");
    assert_text(canceled.server_holds(), "123__r1");
}


void a_person_who_is_waited_for_does_not_use_up_the_time_limit(void **)
{
    fake_world world;
    world.config.limits.time_limit_s = 1000;
    world.deployed("123");
    world.config.rollout.steps = {{50, 0}};
    world.config.rollout.promote = "manual";
    world.deploy("t", "123");
    world.time.run_for(100000s);
    assert_text(world.status("t"), "in_progress");
    assert_text(steer(world, "t", task_verb::promote), "taken");
    assert_text(world.finish("t"), "completed");
}


void going_back_brings_the_kept_revision_without_fetching_it(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.old = "archive";
    world.deploy("second", "123");
    assert_text(world.finish("second"), "completed");
    world.story.clear();
    assert_text(steer(world, "second", task_verb::rollback), "taken");
    assert_true(world.time.run_until([&world] { return world.route("123") == "route of 123: 123__r1"; }));
    world.time.settle();
    assert_false(world.has("fetch 123__r1"));
    assert_true(world.has("load 123__r1"));
    assert_int_equal(world.model("123").blue->revision, 1);
    assert_text(world.violations(), "");
}


/// A completed deployment of revision 2, with revision 1 kept.
void keep_one(fake_world &world)
{
    world.deployed("123");
    world.config.rollout.old = "keep";
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
}


void a_key_makes_its_task_once_whatever_has_become_of_the_model(void **)
{
    for (const auto verb : {task_verb::retry, task_verb::rollback}) {
        fake_world world;
        keep_one(world);
        assert_text(follow_up(world, verb, "t", "key"), "made key");
        assert_text(follow_up(world, verb, "t", "key"), "found key");
        assert_text(world.finish("key"), "completed");
        assert_text(follow_up(world, verb, "t", "key"), "found key");
        world.crash();
        assert_text(follow_up(world, verb, "t", "key"), "found key");
        assert_text(world.task("key").parent_id, "t");
    }
}


void two_who_use_a_key_at_once_get_one_task(void **)
{
    for (const auto verb : {task_verb::retry, task_verb::rollback}) {
        fake_world world;
        keep_one(world);
        std::string first, second;
        follow_up(world, verb, "t", "key", first);
        follow_up(world, verb, "t", "key", second);
        world.time.run_until([&] { return !first.empty() && !second.empty(); });
        assert_text(first, "made key");
        assert_text(second, "found key");
    }
}


void a_key_of_another_task_is_a_conflict(void **)
{
    fake_world world;
    keep_one(world);
    world.deploy("other", "456");
    assert_text(world.finish("other"), "completed");
    for (const auto verb : {task_verb::retry, task_verb::rollback}) {
        for (const char *key : {"t", "other"}) {
            assert_text(follow_up(world, verb, "t", key), "409");
        }
    }
    assert_text(follow_up(world, task_verb::retry, "t", "key"), "made key");
    assert_text(follow_up(world, task_verb::rollback, "t", "key"), "409");
    assert_text(follow_up(world, task_verb::retry, "other", "key"), "409");
    assert_text(world.finish("key"), "completed");
    assert_text(follow_up(world, task_verb::rollback, "key", "back"), "made back");
    assert_text(follow_up(world, task_verb::retry, "key", "back"), "409");
}


void a_refusal_leaves_its_key_free(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(follow_up(world, task_verb::rollback, "t", "key"), "409");
    assert_text(follow_up(world, task_verb::retry, "t", "key"), "made key");
}


/// Once revision 2 was gone back from, the one before revision 3 is 1.
void going_back_goes_to_what_served_before_and_not_to_what_was_gone_back_from(void **)
{
    fake_world world;
    world.config.rollout.old = "archive";
    world.deployed("123");
    world.deploy("second", "123");
    assert_text(world.finish("second"), "completed");
    assert_text(steer(world, "second", task_verb::rollback), "taken");
    assert_true(world.time.run_until([&world] { return world.route("123") == "route of 123: 123__r1"; }));
    world.time.settle();
    world.deploy("third", "123");
    assert_text(world.finish("third"), "completed");
    assert_text(steer(world, "third", task_verb::rollback), "taken");
    world.time.settle();
    assert_int_equal(world.model("123").blue->revision, 1);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_taken_where_it_makes_sense_and_refused_with_a_reason_elsewhere),
        cmocka_unit_test(a_word_is_answered_when_it_is_durable_and_not_before),
        cmocka_unit_test(a_word_that_is_not_durable_is_none_and_may_be_said_again),
        cmocka_unit_test(a_word_while_another_is_being_written_comes_after_it),
        cmocka_unit_test(a_canceled_rollout_leaves_blue_as_it_was),
        cmocka_unit_test(a_word_that_was_taken_is_known_after_a_crash),
        cmocka_unit_test(a_person_who_is_waited_for_does_not_use_up_the_time_limit),
        cmocka_unit_test(going_back_brings_the_kept_revision_without_fetching_it),
        cmocka_unit_test(a_key_makes_its_task_once_whatever_has_become_of_the_model),
        cmocka_unit_test(two_who_use_a_key_at_once_get_one_task),
        cmocka_unit_test(a_key_of_another_task_is_a_conflict),
        cmocka_unit_test(a_refusal_leaves_its_key_free),
        cmocka_unit_test(going_back_goes_to_what_served_before_and_not_to_what_was_gone_back_from),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
