// Crashes at every call of rollouts with gates, watches and parts, and of those that a client steers.
#include "tests/unit/worker/rollout/crash_walk.hpp"

namespace {

using rollout::task_verb;

/// In steps with a gate, on traffic that grows between any two looks of it.
void in_steps(fake_world &world)
{
    world.deployed("123");
    world.config.rollout.steps = {{5, 1}, {25, 1}, {100, 1}};
    world.config.rollout.gate.emplace().min_requests = 20;
    world.config.rollout.gate->max_error_rate = 0.1;
    world.gateway.growth[1].requests = world.gateway.growth[2].requests = 10;
}

/// A client says it once `when` holds, and again where it has got no answer; never twice to one rolloutd.
world_fn says(task_verb verb, std::function<bool(fake_world &)> when)
{
    return [verb, when](fake_world &world) {
        const std::string word(rollout::verb_name(verb));
        if (!world.said.contains(word) && !world.answers.contains(word) && when(world)) {
            world.said.insert(word);
            world.steer("t", verb);
        }
    };
}

void a_gated_deployment_by_weights_survives(void **)
{
    survive_every_crash({in_steps, deploy, "completed", "123__r2", "route of 123: 123__r2"});
}

void a_green_that_the_gate_finds_bad_goes_back_over_any_crash(void **)
{
    const auto before = [](fake_world &world) {
        in_steps(world);
        world.gateway.growth[2].failures = 10; // all: a hold that is begun anew has less to spend
    };
    survive_every_crash({before, deploy, "failed", "123__r1", "route of 123: 123__r1"});
}

void a_watched_promotion_survives(void **)
{
    const auto before = [](fake_world &world) {
        in_steps(world);
        world.config.rollout.watch_s = 2;
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2"});
}

void a_watch_that_takes_the_promotion_back_survives(void **)
{
    for (const char *old : {"delete", "keep"}) {
        const auto before = [old](fake_world &world) {
            in_steps(world);
            world.config.rollout.watch_s = 2;
            world.config.rollout.old = old;
        };
        const auto fails_then = [](fake_world &world) {
            if (world.route("123") == "route of 123: 123__r2") {
                world.gateway.growth[2].failures = 10; // all: a hold that is begun anew has less to spend
            }
        };
        survive_every_crash({before, deploy, "failed", "123__r1", "route of 123: 123__r1", 0, fails_then});
    }
}

void a_rollback_survives(void **)
{
    struct {
        const char *old;
        const char *server;
    } const kept[] = {{"archive", "123__r1"}, {"keep", "123__r1"}};
    for (const auto &[old, server] : kept) {
        const auto before = [old = old](fake_world &world) {
            world.deployed("123");
            world.deploy("second", "123", R"({"rollout": {"old": ")" + std::string(old) + R"("}})");
            if (world.finish("second") != "completed") {
                throw std::runtime_error(world.task("second").detail);
            }
            world.config.rollout.old = "delete";
        };
        const auto go_back = [](fake_world &world) { world.steer("second", task_verb::rollback, "t"); };
        const bool archives = std::string(old) == "archive";
        survive_every_crash({before, go_back, "completed",
                             archives ? "123__r1; files of 123__r1 123__r2" : "123__r1 123__r2",
                             "route of 123: 123__r1", 1},
                            {0, 3});
    }
}

std::string parts_of(const std::string &revision)
{
    return "route of 123/items: 123_items__" + revision + "; route of 123/query: 123_query__" + revision +
           "; route of 123/same: 123_query__" + revision;
}

void a_model_of_parts_survives(void **)
{
    const auto deploy_parts = [](fake_world &world, const char *task_id) {
        world.deploy(task_id, "123", R"({"parts": {"query": {"source": "file:///srv/models/q"},
                                                   "items": {"source": "file:///srv/models/i"},
                                                   "same": {"source": "file:///srv/models/q"}}})");
    };
    const auto name_parts = [](fake_world &world) {
        world.config.backends["default"].model_name = "{model_id}_{part}__r{revision}";
    };
    const auto next = [=](fake_world &world) {
        name_parts(world);
        deploy_parts(world, "first");
        if (world.finish("first") != "completed") {
            throw std::runtime_error(world.task("first").detail);
        }
    };
    const auto submit = [=](fake_world &world) { deploy_parts(world, "t"); };
    survive_every_crash({name_parts, submit, "completed", "123_items__r1 123_query__r1", parts_of("r1")});
    survive_every_crash({next, submit, "completed", "123_items__r2 123_query__r2", parts_of("r2")});
    survive_every_crash({next, delete_model, "completed", "", "route of 123: none"});
}

void a_cancel_in_a_hold_survives(void **)
{
    for (const unsigned weight : {5U, 100U}) {
        const auto in_the_hold = [weight](fake_world &world) { return world.task("t").traffic_weight == weight; };
        survive_every_crash({in_steps, deploy, "canceled", "123__r1", "route of 123: 123__r1", 0,
                             says(task_verb::cancel, in_the_hold)});
    }
}

void a_cancel_that_was_taken_in_a_step_before_survives(void **)
{
    for (const char *step : {"fetch", "stage", "load", "ready", "smoke"}) {
        unsigned taken = 0;
        const auto in_it = [step](fake_world &world) { return world.task("t").step == step; };
        // Not taken, or not answered, it may have come too late.
        const auto too_late = [&taken](const fake_world &world, trial &of) {
            const auto said = world.answers.find("cancel");
            const bool in_time = said != world.answers.end() && said->second.status == 200;
            taken += in_time;
            if (!in_time && world.status("t") == "completed") {
                of.status = "completed";
                of.server = "123__r2";
                of.route = "route of 123: 123__r2";
            }
        };
        survive_every_crash({revision_1, deploy, "canceled", "123__r1", "route of 123: 123__r1", 0,
                             says(task_verb::cancel, in_it), too_late});
        assert_true(taken > 10);
    }
}

void a_wait_for_a_promotion_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.config.rollout.steps = {{50, 30}};
        world.config.rollout.promote = "manual";
    };
    const auto waits = [](fake_world &world) { return world.task("t").detail.ends_with("/deploy/t/promote."); };
    survive_every_crash(
        {before, deploy, "completed", "123__r2", "route of 123: 123__r2", 0, says(task_verb::promote, waits)},
        {0, 3});
}

void a_pause_and_its_end_survive(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.config.rollout.steps = {{50, 30}};
    };
    const auto held = [](fake_world &world) { return world.task("t").traffic_weight == 50; };
    const auto paused = [](fake_world &world) {
        return world.answers.contains("pause") && world.task("t").detail.ends_with("/deploy/t/resume.");
    };
    const auto both = [pause = says(task_verb::pause, held),
                       resume = says(task_verb::resume, paused)](fake_world &world) {
        pause(world);
        resume(world);
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2", 0, both}, {0, 3});
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_gated_deployment_by_weights_survives),
        cmocka_unit_test(a_green_that_the_gate_finds_bad_goes_back_over_any_crash),
        cmocka_unit_test(a_watched_promotion_survives),
        cmocka_unit_test(a_watch_that_takes_the_promotion_back_survives),
        cmocka_unit_test(a_rollback_survives),
        cmocka_unit_test(a_model_of_parts_survives),
        cmocka_unit_test(a_cancel_in_a_hold_survives),
        cmocka_unit_test(a_cancel_that_was_taken_in_a_step_before_survives),
        cmocka_unit_test(a_wait_for_a_promotion_survives),
        cmocka_unit_test(a_pause_and_its_end_survive),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
