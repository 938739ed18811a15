// SIGTERM: rolloutd stops in the middle of its work, and the next start goes on where it was.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

/// Stops and starts again; false where the scheduler never says that it has stopped.
bool stop_and_start(fake_world &world)
{
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    world.time.settle();
    if (stopped) {
        world.crash();
    }
    return stopped;
}

void without_work_it_stops_at_once(void **)
{
    fake_world world;
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    assert_true(stopped);
}

void a_step_under_way_is_canceled_and_goes_on_after_the_start(void **)
{
    for (const char *call : {"check_vacant 123__r2", "fetch 123__r2", "stage 123__r2", "load 123__r2",
                             "ready 123__r2", "infer 123__r2", "unload 123__r1", "remove 123__r1"}) {
        fake_world world;
        world.deployed("123");
        world.server.held.insert(call);
        world.deploy("t", "123", R"({"rollout": {"smoke": {"request": {"inputs": []}}}})");
        world.time.settle();
        assert_text(world.status("t"), "in_progress");
        assert_true(stop_and_start(world));
        assert_text(world.status("t"), "in_progress");
        world.time.run_for(1s);
        world.server.mend(call);
        assert_true(stop_and_start(world));
        assert_text(world.finish("t"), "completed");
        assert_text(world.server_holds(), "123__r2");
        assert_text(world.violations(), "");
    }
}

void a_wait_for_the_gateway_ends(void **)
{
    for (const char *step : {"shift", "promote"}) {
        fake_world world;
        world.deployed("123");
        world.deploy("t", "123");
        world.time.run_until([&] { return world.task("t").step == step; });
        world.gateway.follows = false;
        world.time.settle();
        assert_true(stop_and_start(world));
        assert_text(world.status("t"), "in_progress");
        world.gateway.follows = true;
        world.process->gateways.take_over();
        assert_text(world.finish("t"), "completed");
    }
}

void a_hold_a_drain_and_a_pause_end(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 1000}, {100, 0}};
    world.config.rollout.drain_s = 1000;
    world.gateway.requests[1] = 1;
    world.server.fail("fetch 123__r2", outcome::transient("busy"));
    world.deploy("t", "123");
    world.time.run_for(100ms);
    assert_text(world.task("t").step, "fetch"); // a pause
    assert_true(stop_and_start(world));
    world.time.run_for(1s);
    assert_text(world.task("t").step, "shift"); // a hold
    assert_true(stop_and_start(world));
    world.time.run_for(1001s);
    assert_text(world.task("t").step, "retire"); // a drain
    assert_true(stop_and_start(world));
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "123__r2");
}

void a_way_back_goes_on_after_the_start(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("ready 123__r2", outcome::permanent("no"));
    world.server.held.insert("unload 123__r2");
    world.deploy("t", "123");
    world.time.settle();
    assert_text(world.task("t").step, "rollback");
    world.server.mend("unload 123__r2");
    assert_true(stop_and_start(world));
    assert_text(world.finish("t"), "failed");
    assert_text(world.task("t").detail, "Step ready failed: no. Revision 1 serves as before.");
    assert_text(world.server_holds(), "123__r1");
}

void what_waits_is_not_started(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.server.held.insert("load a__r1");
    for (const char *model_id : {"a", "b", "c"}) {
        world.deploy(model_id, model_id);
    }
    world.time.settle();
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    world.time.run_for(1h);
    assert_true(stopped);
    assert_text(world.status("b"), "pending");
    assert_false(world.has("check_vacant b__r1"));
    world.server.held.clear();
    world.crash();
    assert_text(world.finish("c"), "completed");
    assert_text(world.server_holds(), "a__r1 b__r1 c__r1");
}

void a_task_that_is_accepted_while_it_stops_runs_after_the_start(void **)
{
    fake_world world;
    world.server.held.insert("load");
    world.deploy("a", "a");
    world.time.settle();
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    world.deploy("b", "b");
    world.time.settle();
    assert_true(stopped);
    assert_int_equal(world.answers["b"].status, 200);
    assert_text(world.status("b"), "pending");
    world.server.held.clear();
    world.crash();
    assert_text(world.finish("b"), "completed");
}

void a_task_that_is_being_read_is_left_for_the_next_start(void **)
{
    fake_world world;
    world.deploy("t", "123");
    world.time.run_until([&] { return world.process->tasks.running() == 1; });
    assert_true(stop_and_start(world));
    assert_text(world.finish("t"), "completed");
}

void it_stops_at_any_moment_of_a_rollout(void **)
{
    for (int calls = 0;; ++calls) {
        fake_world world;
        world.deployed("123");
        world.config.rollout.steps = {{5, 30}, {100, 0}};
        world.deploy("t", "123");
        for (int i = 0; i < calls && !world.is_over("t"); ++i) {
            world.time.next();
        }
        if (world.is_over("t")) {
            assert_true(calls > 10);
            return;
        }
        if (!stop_and_start(world)) {
            fail_msg("it does not stop after %d calls, in step %s", calls, world.task("t").step.c_str());
        }
        assert_text(world.knows("t") ? world.finish("t") : "completed", "completed");
    }
}

void it_stops_at_any_moment_of_a_way_back(void **)
{
    for (int calls = 0;; ++calls) {
        fake_world world;
        world.deployed("123");
        world.server.fail("fetch 123__r2", outcome::permanent("no"));
        world.deploy("t", "123");
        for (int i = 0; i < calls && !world.is_over("t"); ++i) {
            world.time.next();
        }
        if (world.is_over("t")) {
            assert_true(calls > 5);
            return;
        }
        if (!stop_and_start(world)) {
            fail_msg("it does not stop after %d calls, in step %s", calls, world.task("t").step.c_str());
        }
    }
}

void it_stops_while_the_journal_does_not_answer(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {100, 0}};
    world.deploy("t", "123");
    world.time.run_for(29s);
    world.process->journal.failing_writes = 1000000;
    world.time.run_for(5s);
    assert_text(world.task("t").step, "shift");
    assert_true(stop_and_start(world));
}

void it_stops_when_the_write_under_way_fails(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {25, 30}, {100, 0}};
    world.deploy("t", "123");
    world.time.run_for(29s);
    world.process->journal.held = true; // the next weight's
    world.time.run_for(5s);
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    world.time.settle();
    assert_false(stopped);
    world.process->journal.failing_writes = 1000000;
    world.process->journal.release();
    world.time.run_for(5s);
    assert_true(stopped);
    world.crash();
    assert_text(world.finish("t"), "completed");
}

void a_word_that_waits_for_another_is_answered(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {100, 0}};
    world.deploy("t", "123");
    world.time.run_for(5s);
    world.process->journal.held = true;
    world.steer("t", rollout::task_verb::pause);
    world.steer("t", rollout::task_verb::resume);
    world.time.run_for(5ms);
    assert_false(world.answers.contains("resume"));
    world.process->tasks.stop([] {});
    assert_int_equal(world.answers["resume"].status, 503);
    assert_int_equal(world.answers["resume"].retry_after_s, 1);
    world.process->journal.release();
    world.time.settle();
    assert_int_equal(world.answers["pause"].status, 200);
    assert_true(world.task("t").paused);
}

void a_read_that_fails_while_it_stops_does_no_harm(void **)
{
    fake_world world;
    world.process->journal.failing_reads = 1;
    world.deploy("t", "123");
    world.time.run_until([&] { return world.process->tasks.running() == 1; });
    assert_true(stop_and_start(world));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(without_work_it_stops_at_once),
        cmocka_unit_test(a_step_under_way_is_canceled_and_goes_on_after_the_start),
        cmocka_unit_test(a_wait_for_the_gateway_ends),
        cmocka_unit_test(a_hold_a_drain_and_a_pause_end),
        cmocka_unit_test(a_way_back_goes_on_after_the_start),
        cmocka_unit_test(what_waits_is_not_started),
        cmocka_unit_test(a_task_that_is_accepted_while_it_stops_runs_after_the_start),
        cmocka_unit_test(a_task_that_is_being_read_is_left_for_the_next_start),
        cmocka_unit_test(it_stops_at_any_moment_of_a_rollout),
        cmocka_unit_test(it_stops_at_any_moment_of_a_way_back),
        cmocka_unit_test(it_stops_while_the_journal_does_not_answer),
        cmocka_unit_test(it_stops_when_the_write_under_way_fails),
        cmocka_unit_test(a_word_that_waits_for_another_is_answered),
        cmocka_unit_test(a_read_that_fails_while_it_stops_does_no_harm),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
