#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::task_verb;

constexpr std::string_view holds = R"({"rollout": {"steps": [{"weight": 10, "hold_s": 3600}, {"weight": 100}]}})";
constexpr std::string_view waits_for_a_person = R"({"rollout": {"promote": "manual"}})";
constexpr std::string_view watches = R"({"rollout": {"watch_s": 3600}})";
constexpr std::string_view drains = R"({"rollout": {"drain_s": 3600}})";

std::size_t working(const fake_world &world)
{
    return world.process->tasks.working();
}

std::size_t running(const fake_world &world)
{
    return world.process->tasks.running();
}

/// Takes a place, and keeps it until the server's load of that model is mended.
void take_a_place(fake_world &world, const std::string &task_id, const std::string &model_id)
{
    world.server.held.insert("load " + model_id + "__r1");
    world.deploy(task_id, model_id);
    world.time.settle();
}

/// In the order of the story.
std::string loads(const fake_world &world)
{
    std::string order;
    for (const auto &line : world.story) {
        order += line.starts_with("load ") ? line.substr(4) : "";
    }
    return order;
}

void what_a_rollout_waits_for_takes_no_place_from_others(void **)
{
    for (const auto members : {holds, waits_for_a_person, watches}) {
        fake_world world;
        world.config.limits.max_concurrent_rollouts = 2;
        for (const char *model_id : {"a", "b", "c", "d"}) {
            world.deployed(model_id);
        }
        for (const char *model_id : {"a", "b", "c", "d"}) {
            world.deploy(std::string("wait-") + model_id, model_id, members);
        }
        world.time.run_for(10s);
        assert_int_equal(running(world), 4);
        assert_int_equal(working(world), 0);
        for (const char *model_id : {"a", "b", "c", "d"}) {
            assert_text(world.status(std::string("wait-") + model_id), "in_progress");
        }

        world.deploy("other", "other");
        world.time.run_for(10s);
        assert_text(world.status("other"), "completed");
        assert_text(world.status("wait-a"), "in_progress");
        assert_text(world.violations(), "");
    }
}

void a_paused_rollout_takes_no_place(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deployed("a");
    world.deploy("t", "a", holds);
    world.time.run_for(10s);
    world.steer("t", task_verb::pause);
    world.time.run_for(10h);
    world.deploy("other", "other");
    assert_text(world.finish("other"), "completed");
    assert_text(world.status("t"), "in_progress");
    world.steer("t", task_verb::resume);
    assert_text(world.finish("t"), "completed");
}

void a_drain_takes_no_place(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deployed("a");
    world.deployed("b");
    world.gateway.requests[1] = 7;
    world.deploy("t", "a", drains);
    world.time.run_for(10s);
    world.remove("gone", "b");
    world.time.run_for(10s);
    assert_text(world.task("t").step, "retire");
    assert_text(world.task("gone").step, "drain");
    assert_int_equal(working(world), 0);
    world.gateway.requests[1] = 0;
    assert_text(world.finish("t"), "completed");
    assert_text(world.finish("gone"), "completed");
    assert_text(world.server_holds(), "a__r2");
}

void the_old_revision_is_taken_off_when_a_place_is_free(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.config.limits.time_limit_s = 7200;
    world.deployed("a");
    world.deploy("t", "a", holds);
    world.time.run_for(10s);
    take_a_place(world, "slow", "b");
    world.config.limits.time_limit_s = 7200;
    world.steer("t", task_verb::promote);
    world.time.run_for(1h);
    assert_text(world.route("a"), "route of a: a__r2");
    assert_text(world.status("t"), "in_progress");
    assert_text(world.task("t").detail,
                "Step retire of revision 2 waits for its turn: as many tasks are worked on as "
                "max_concurrent_rollouts allows.");
    assert_text(world.server_holds(), "a__r1 a__r2; files of a__r1 a__r2 b__r1");

    world.steer("slow", task_verb::cancel);
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "a__r2");
    assert_text(world.task("t").detail, "Revision 2 serves all traffic of model a.");
}

void the_time_for_which_a_task_waits_for_a_place_is_not_the_tasks(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.config.limits.time_limit_s = 7200;
    world.deployed("a");
    world.deploy("t", "a", holds);
    world.time.run_for(10s);
    world.steer("t", task_verb::promote);
    world.config.limits.max_concurrent_rollouts = 0;
    world.time.run_for(10h);
    assert_text(world.status("t"), "in_progress");
    world.config.limits.max_concurrent_rollouts = 1;
    world.crash();
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "a__r2");
    assert_true(world.task("t").elapsed_ms < 60000);
}

void a_first_deployment_with_nothing_to_take_off_waits_for_nothing_more(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.server.held.insert("hook before_promote");
    world.config.rollout.hooks["before_promote"] = {{"http://hook", {}, 10}};
    world.deploy("t", "a");
    world.time.run_for(10s);
    world.config.rollout.hooks.clear();
    take_a_place(world, "slow", "b");
    world.config.limits.max_concurrent_rollouts = 1;
    assert_text(world.status("slow"), "in_progress");
    world.server.mend("hook before_promote");
    world.crash();
    world.time.run_for(10s);
    assert_text(world.status("t"), "completed");
}

void a_first_deployment_gives_its_place_back_when_it_is_ready(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.gateway.follows = false;
    world.deploy("t", "a");
    world.deploy("next", "b");
    world.time.settle();
    assert_text(world.task("t").step, "shift");
    assert_text(loads(world), " a__r1 b__r1");
}

void a_first_deployment_keeps_its_place_for_the_models_next_task(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deploy("t", "a");
    world.deploy("next", "a");
    world.deploy("other", "b");
    assert_text(world.finish("other"), "completed");
    assert_text(loads(world), " a__r1 a__r2 b__r1");
}

void a_deployment_that_replaces_a_revision_keeps_its_place(void **)
{
    fake_world world;
    world.deployed("a");
    world.config.limits.max_concurrent_rollouts = 1;
    world.server.held.insert("unload a__r1");
    world.deploy("t", "a");
    world.deploy("next", "b");
    world.time.settle();
    assert_text(world.task("t").step, "retire");
    assert_text(world.status("next"), "pending");
}

void a_failed_gate_goes_back_without_a_place(void **)
{
    for (const std::uint64_t places : {0u, 1u}) {
        fake_world world;
        world.config.limits.max_concurrent_rollouts = 1;
        world.deployed("a");
        world.deploy("t", "a", R"({"rollout": {"steps": [{"weight": 10, "hold_s": 3600}, {"weight": 100}],
                                               "gate": {"min_requests": 1, "max_error_rate": 0.1}}})");
        world.time.run_for(10s);
        assert_text(world.route("a"), "route of a: a__r1, a__r2 10 %");
        if (places != 0) {
            take_a_place(world, "slow", "b");
        }
        world.config.limits.max_concurrent_rollouts = places;
        world.gateway.growth[2].requests = 100;
        world.gateway.growth[2].failures = 100;
        world.time.run_for(60s);
        assert_text(world.status("t"), "failed");
        assert_text(world.route("a"), "route of a: a__r1");
        assert_text(world.server_holds(), places == 0 ? "a__r1" : "a__r1; files of a__r1 b__r1");
    }
}

void a_cancellation_goes_back_without_a_place(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deployed("a");
    world.deploy("t", "a", holds);
    world.time.run_for(10s);
    take_a_place(world, "slow", "b");
    world.steer("t", task_verb::cancel);
    world.time.run_for(10s);
    assert_text(world.status("t"), "canceled");
    assert_text(world.route("a"), "route of a: a__r1");
}

void a_deletion_that_waits_for_a_place_can_be_canceled(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deployed("a");
    world.gateway.requests[1] = 7;
    world.submit(rollout::task_kind::remove, "gone", "a");
    world.time.run_for(1s);
    take_a_place(world, "slow", "b");
    world.gateway.requests[1] = 0;
    world.time.run_for(60s);
    assert_text(world.task("gone").step, "unload");
    assert_holds(world.task("gone").detail, "waits for its turn");
    world.process->tasks.steer({rollout::task_kind::remove, "gone", task_verb::cancel, ""}, world.noted_as("cancel"));
    world.time.run_for(10s);
    assert_int_equal(world.answers["cancel"].status, 200);
    assert_text(world.status("gone"), "canceled");
    assert_text(world.route("a"), "route of a: a__r1");
}

void a_free_place_goes_to_a_rollback_then_to_a_run_then_to_a_deletion_then_to_a_deployment(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.config.rollout.old = "archive";
    world.deploy("back1", "back");
    assert_text(world.finish("back1"), "completed");
    world.deploy("back2", "back");
    assert_text(world.finish("back2"), "completed");
    world.deployed("run");
    world.deployed("gone");
    world.deploy("t-run", "run", R"({"rollout": {"steps": [{"weight": 10, "hold_s": 3600}, {"weight": 100}],
                                                 "old": "delete"}})");
    world.time.run_for(10s);
    take_a_place(world, "slow", "slow");
    world.deploy("t-new", "new");
    world.time.settle();
    world.remove("t-gone", "gone");
    world.time.settle();
    world.steer("t-run", task_verb::promote);
    world.time.run_for(1s);
    world.steer("back2", task_verb::rollback, "t-back");
    world.time.run_for(1s);
    for (const char *waiting : {"t-new", "t-gone", "t-back"}) {
        assert_text(world.status(waiting), "pending");
    }

    world.story.clear();
    world.steer("slow", task_verb::cancel);
    assert_text(world.finish("t-new"), "completed");
    assert_true(world.has("load back__r1"));
    assert_true(world.place("load back__r1") < world.place("unload run__r1"));
    assert_true(world.place("unload run__r1") < world.place("unload gone__r1"));
    assert_true(world.place("unload gone__r1") < world.place("load new__r1"));
    assert_text(world.violations(), "");
}

void after_a_crash_those_that_held_go_on_at_once_and_those_that_worked_take_turns(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deployed("a");
    world.deployed("b");
    world.deploy("a2", "a", holds);
    world.time.run_for(10s);
    world.deploy("b2", "b", holds);
    world.time.run_for(10s);
    take_a_place(world, "slow", "c");
    world.deploy("late", "d");
    world.time.settle();

    world.config.limits.max_concurrent_rollouts = 0;
    world.server.mend("load c__r1");
    world.crash();
    world.time.run_for(10s);
    assert_int_equal(running(world), 3);
    assert_int_equal(working(world), 0);
    assert_holds(world.task("slow").detail, "waits for its turn");
    assert_text(world.status("late"), "pending");
    world.steer("a2", task_verb::cancel);
    world.time.run_for(10s);
    assert_text(world.status("a2"), "canceled");

    world.config.limits.max_concurrent_rollouts = 1;
    world.story.clear();
    world.crash();
    assert_text(world.finish("late"), "completed");
    assert_text(world.status("slow"), "completed");
    assert_text(loads(world), " c__r1 d__r1");
    assert_text(world.status("b2"), "in_progress");
}

void a_stop_ends_runs_that_wait_for_a_place(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.deployed("a");
    world.deploy("t", "a", holds);
    world.time.run_for(10s);
    take_a_place(world, "slow", "b");
    world.steer("t", task_verb::promote);
    world.time.run_for(10s);
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    assert_true(world.time.run_until([&stopped] { return stopped; }));
    world.server.mend("load b__r1");
    world.crash();
    assert_text(world.finish("t"), "completed");
    assert_text(world.finish("slow"), "completed");
    assert_text(world.server_holds(), "a__r2 b__r1");
}

void the_oldest_task_that_waits_says_how_long(void **)
{
    fake_world world;
    const auto waits = [&world] { return world.process->tasks.longest_wait(); };
    world.config.limits.max_concurrent_rollouts = 0;
    world.time.run_for(10s);
    assert_true(waits() == 0s);
    world.deploy("t1", "a");
    world.time.run_for(30s);
    world.deploy("t2", "b");
    world.time.run_for(30s);
    assert_true(waits() == 60s);
    world.crash();
    world.time.settle();
    assert_true(waits() == 60s);
    world.steer("t1", task_verb::cancel);
    world.time.settle();
    assert_true(waits() == 30s);
    world.steer("t2", task_verb::cancel);
    world.time.settle();
    assert_true(waits() == 0s);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_a_rollout_waits_for_takes_no_place_from_others),
        cmocka_unit_test(a_paused_rollout_takes_no_place),
        cmocka_unit_test(a_drain_takes_no_place),
        cmocka_unit_test(the_old_revision_is_taken_off_when_a_place_is_free),
        cmocka_unit_test(the_time_for_which_a_task_waits_for_a_place_is_not_the_tasks),
        cmocka_unit_test(a_first_deployment_with_nothing_to_take_off_waits_for_nothing_more),
        cmocka_unit_test(a_first_deployment_gives_its_place_back_when_it_is_ready),
        cmocka_unit_test(a_first_deployment_keeps_its_place_for_the_models_next_task),
        cmocka_unit_test(a_deployment_that_replaces_a_revision_keeps_its_place),
        cmocka_unit_test(a_failed_gate_goes_back_without_a_place),
        cmocka_unit_test(a_cancellation_goes_back_without_a_place),
        cmocka_unit_test(a_deletion_that_waits_for_a_place_can_be_canceled),
        cmocka_unit_test(a_free_place_goes_to_a_rollback_then_to_a_run_then_to_a_deletion_then_to_a_deployment),
        cmocka_unit_test(after_a_crash_those_that_held_go_on_at_once_and_those_that_worked_take_turns),
        cmocka_unit_test(a_stop_ends_runs_that_wait_for_a_place),
        cmocka_unit_test(the_oldest_task_that_waits_says_how_long),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
