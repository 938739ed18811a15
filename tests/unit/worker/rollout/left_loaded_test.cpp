// What stays loaded although its task is over, because a gateway that is out of reach may still route to it; and what
// has been drained is not drained again.
#include "tests/unit/worker/rollout/crash_walk.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

constexpr const char *deaf = "gateway deaf has had no link for long and may still route";

void a_deployment_does_not_wait_for_a_gateway_that_is_out_of_reach(void **)
{
    fake_world world;
    world.deployed("123");
    world.process->gateways.go_deaf();
    world.config.rollout.steps = {{50, 30}, {100, 30}};
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(
        world.task("t").detail,
        std::string("Revision 2 serves all traffic of model 123. Revision 1 stays loaded until no gateway can "
                    "route to it: ") +
            deaf + ".");
    assert_text(world.task("t").find_step("promote")->detail, deaf);
    assert_holds(world.task("t").find_step("retire")->detail, "Revision 1 stays loaded until");
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_int_equal(world.model("123").retired.size(), 1);
    assert_false(world.model("123").retired[0].drained);

    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_holds(world.task("u").detail, "Revisions 1 and 2 stay loaded until no gateway can route to them: ");

    world.process->gateways.hear_again();
    world.deploy("v", "123");
    assert_text(world.finish("v"), "completed");
    assert_text(world.task("v").detail, "Revision 4 serves all traffic of model 123.");
    assert_text(world.server_holds(), "123__r4");
    assert_text(world.violations(), "");
}

void it_does_so_whenever_rolloutd_dies(void **)
{
    for (unsigned calls = 0, died = 1; died != 0; ++calls) {
        const quiet log;
        fake_world world;
        world.deployed("123");
        world.process->gateways.go_deaf();
        deploy(world);
        const trial none = {[](fake_world &) {}, deploy, "", "", ""};
        died = run_calls(world, none, calls) ? 1 : 0;
        crash(world, none);
        assert_text(world.finish("t"), "completed");
        assert_holds(world.task("t").detail, "Revision 1 stays loaded until");
        assert_text(world.server_holds(), "123__r1 123__r2");
        assert_text(world.violations(), "");
    }
}

void a_way_back_leaves_loaded_what_such_a_gateway_may_route_to(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{50, 1000}, {100, 0}};
    world.deploy("t", "123");
    world.time.run_until([&] { return world.gateway.routes_to("123__r2"); });
    world.process->gateways.go_deaf();
    world.steer("t", rollout::task_verb::cancel);
    assert_text(world.finish("t"), "canceled");
    assert_holds(world.task("t").detail, "Revision 1 serves as before. Revision 2 stays loaded until no gateway can "
                                         "route to it: ");
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_text(world.violations(), "");
}

void a_deletion_waits_for_it(void **)
{
    fake_world world;
    world.deployed("123");
    world.process->gateways.go_deaf();
    world.remove("t", "123");
    world.time.run_for(1h);
    assert_text(world.task("t").step, "unroute");
    assert_text(world.server_holds(), "123__r1");
    world.process->gateways.hear_again();
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "");
    assert_text(world.violations(), "");
}

void one_that_comes_during_the_drain_is_seen_before_the_unload(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.drain_s = 100;
    world.gateway.requests[1] = 1;
    world.process->gateways.go_deaf();
    world.process->gateways.hear_again();
    const auto old = world.gateway.routes;
    world.deploy("t", "123");
    world.time.run_until([&] { return world.task("t").step == "retire"; });
    world.time.run_for(50s);
    world.gateway.deaf = true; // it has read its state file, and is gone again
    world.gateway.deaf_routes = old;
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_text(world.violations(), "");
}

void one_that_is_back_at_any_moment_of_the_retirement_is_drained_before_the_unload(void **)
{
    for (unsigned calls = 0, unloaded = 0;; ++calls) {
        const quiet log;
        fake_world world;
        world.deployed("123");
        world.config.rollout.drain_s = 100;
        world.process->gateways.go_deaf();
        world.deploy("t", "123");
        world.time.run_until([&] { return world.task("t").step == "retire"; });
        if (!run_calls(world, trial(), calls)) {
            assert_true(calls > 2 && unloaded > 0);
            break;
        }
        world.gateway.requests[1] = 1; // it still has one
        const auto before = world.time.now();
        world.process->gateways.hear_again();
        assert_text(world.finish("t"), "completed");
        if (!world.server.loaded.contains("123__r1")) {
            ++unloaded;
            assert_true(world.time.now() - before >= 100s);
        }
        assert_text(world.violations(), "");
    }
}

void that_a_revision_is_drained_is_written_before_it_is_unloaded(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.held.insert("unload 123__r1");
    world.deploy("t", "123");
    world.time.run_until([&] { return world.has("unload 123__r1"); });
    assert_true(world.model("123").retired.at(0).drained);
    assert_true(world.told(true).ends_with("journal: in_progress, retire running\n"
                                           "journal: in_progress, retire running\n"
                                           "unload 123__r1\n"));
}

/// Returns how long the rest of the task takes after a crash at its unload.
std::chrono::milliseconds time_after_crash(fake_world &world)
{
    world.config.rollout.drain_s = 1000;
    world.gateway.requests = {{1, 1}, {2, 1}};
    world.server.held = {"unload 123__r1", "unload 123__r2"};
    world.time.run_until([&] { return world.has("unload 123__r1") || world.has("unload 123__r2"); });
    world.server.held.clear();
    world.crash();
    const auto before = world.time.now();
    world.finish("t");
    return world.time.now() - before;
}

void after_a_crash_nothing_is_drained_again(void **)
{
    fake_world forward;
    forward.deployed("123");
    forward.deploy("t", "123");
    assert_true(time_after_crash(forward) < 10s);
    assert_text(forward.status("t"), "completed");
    assert_text(forward.server_holds(), "123__r2");

    fake_world back;
    back.deployed("123");
    back.config.rollout.steps = {{50, 1000}, {100, 0}};
    back.config.limits.time_limit_s = 100;
    back.deploy("t", "123");
    assert_true(time_after_crash(back) < 10s);
    assert_text(back.status("t"), "failed");
    assert_text(back.server_holds(), "123__r1");
}

void what_serves_again_is_drained_again(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("unload", outcome::permanent("it hangs"));
    world.remove("deletes", "123");
    assert_text(world.finish("deletes"), "failed");
    assert_false(world.model("123").blue->drained);
    world.server.mend("unload");

    world.config.rollout.drain_s = 100;
    world.gateway.requests[1] = 1;
    world.deploy("t", "123", R"({"rollout": {"old": "archive"}})");
    world.time.run_for(90s);
    assert_text(world.task("t").step, "retire");
    assert_text(world.finish("t"), "completed");
    assert_false(world.model("123").kept.at(0).drained);

    world.steer("t", rollout::task_verb::rollback, "back"); // to revision 1
    world.time.settle();
    assert_text(world.finish("back"), "completed");
    world.config.rollout.old = "delete";
    world.deploy("u", "123");
    world.time.run_for(90s);
    assert_text(world.task("u").step, "retire");
    assert_text(world.finish("u"), "completed");
    assert_text(world.violations(), "");
}

long count(const fake_world &world, const std::string &line)
{
    return std::count(world.story.begin(), world.story.end(), line);
}

void what_stays_loaded_is_loaded_again_if_the_server_loses_it(void **)
{
    fake_world world;
    world.config.backends["default"].check_s = 10;
    world.config.backends["default"].unload_retry_s = 60;
    world.crash();
    world.deployed("123");
    world.process->gateways.go_deaf();
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    world.server.loaded.erase("123__r1"); // to which the gateway may still route
    world.time.run_for(60s);
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_int_equal(count(world, "load 123__r1"), 1);

    world.process->gateways.hear_again();
    world.process->tasks.on_gateway_progress();
    world.time.run_for(1h);
    assert_text(world.server_holds(), "123__r2");
    assert_int_equal(count(world, "load 123__r1"), 1);
    assert_text(world.violations(), "");
}

void what_is_being_taken_off_is_not_loaded_again(void **)
{
    for (const bool fails : {false, true}) {
        fake_world world;
        world.config.backends["default"].check_s = 1;
        world.config.limits.retries = 5;
        world.crash();
        world.deployed("123");
        const std::string name = fails ? "123__r2" : "123__r1";
        if (fails) {
            world.server.fail("infer 123__r2", outcome::permanent("no"));
        }
        world.server.fail("remove " + name, outcome::transient("busy"), 5); // long enough for the monitor to look
        deploy(world);
        assert_text(world.finish("t"), fails ? "failed" : "completed");
        assert_true(count(world, "remove " + name) > 5);
        assert_int_equal(count(world, "load " + name), fails ? 1 : 0);
        assert_text(world.server_holds(), fails ? "123__r1" : "123__r2");
        assert_text(world.violations(), "");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_deployment_does_not_wait_for_a_gateway_that_is_out_of_reach),
        cmocka_unit_test(it_does_so_whenever_rolloutd_dies),
        cmocka_unit_test(a_way_back_leaves_loaded_what_such_a_gateway_may_route_to),
        cmocka_unit_test(a_deletion_waits_for_it),
        cmocka_unit_test(one_that_comes_during_the_drain_is_seen_before_the_unload),
        cmocka_unit_test(one_that_is_back_at_any_moment_of_the_retirement_is_drained_before_the_unload),
        cmocka_unit_test(that_a_revision_is_drained_is_written_before_it_is_unloaded),
        cmocka_unit_test(after_a_crash_nothing_is_drained_again),
        cmocka_unit_test(what_serves_again_is_drained_again),
        cmocka_unit_test(what_stays_loaded_is_loaded_again_if_the_server_loses_it),
        cmocka_unit_test(what_is_being_taken_off_is_not_loaded_again),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
