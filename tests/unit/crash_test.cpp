// rolloutd is killed between any two calls of a task and started again: the task must end as if nothing had happened.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fake_world.hpp"
#include "tests/unit/quiet.hpp"

#include <functional>
#include <initializer_list>

namespace {

using rollout::outcome;
using rollout::steering;
using world_fn = std::function<void(fake_world &)>;

struct trial {
    world_fn before;         ///< what is deployed, and what will fail
    world_fn submit;         ///< posts the task `t`
    std::string status;      ///< at the end
    std::string server;      ///< what stands on it then
    std::string route;       ///< what the gateway follows then
    unsigned kept_files = 0; ///< of the model, in the journal
    world_fn meanwhile = {}; ///< what goes on outside, seen between any two calls
    std::function<void(const fake_world &, trial &)> depends = {}; ///< changes what is awaited at the end
};

/// The next call, after what goes on outside; false where the task has ended.
bool next_call(fake_world &world, const trial &of)
{
    if (of.meanwhile) {
        of.meanwhile(world);
    }
    return !world.is_over("t") && world.time.next();
}

/// Runs so many calls, or fewer where the task has ended; says which.
bool run_calls(fake_world &world, const trial &of, unsigned calls)
{
    for (unsigned i = 0; i < calls; ++i) {
        if (!next_call(world, of)) {
            return false;
        }
    }
    return true;
}

/// A client that got no answer posts again, with the same id.
void crash(fake_world &world, const trial &of)
{
    world.crash();
    if (!world.answers.contains("t")) {
        of.submit(world);
    }
}

/// What is not as it should be at the end; empty where all is.
std::string faults_at_the_end(fake_world &world, trial of)
{
    std::string words;
    const auto compare = [&](const char *what, const std::string &is, const std::string &should_be) {
        if (is != should_be) {
            words += std::string(what) + ": \"" + is + "\" and not \"" + should_be + "\"\n";
        }
    };
    run_calls(world, of, 100000);
    world.time.settle();
    if (of.depends) {
        of.depends(world, of);
    }
    compare("status", world.status("t"), of.status);
    compare("server", world.server_holds(), of.server);
    compare("route", world.route("123"), of.route);
    compare("violations", world.violations(), "");
    const auto model = world.model("123");
    compare("left", std::to_string(model.retired.size()), "0");
    compare("kept", std::to_string(model.kept.size()), std::to_string(of.kept_files));
    compare("green", model.green || model.incoming ? "there" : "none", "none");
    return words;
}

/// Dies after each number of calls in turn, and once more after so many further ones; 0: not once more.
void survive_every_crash(const trial &of, std::initializer_list<unsigned> pauses = {3})
{
    for (const unsigned again : pauses) {
        for (unsigned calls = 0;; ++calls) {
            std::string faults;
            bool died = false;
            {
                const quiet log;
                fake_world world;
                of.before(world);
                of.submit(world);
                died = run_calls(world, of, calls);
                crash(world, of);
                if (again != 0) {
                    run_calls(world, of, again);
                    crash(world, of);
                }
                faults = faults_at_the_end(world, of);
            }
            if (!faults.empty()) {
                fail_msg("killed after %u calls and again after %u: %s", calls, again, faults.c_str());
            }
            if (!died) {
                assert_true(calls > 10);
                break;
            }
        }
    }
}

void deploy(fake_world &world)
{
    world.deploy("t", "123", R"({"rollout": {"smoke": {"request": {"inputs": []}}}})");
}

void remove(fake_world &world)
{
    world.remove("t", "123");
}

void revision_1(fake_world &world)
{
    world.deployed("123");
}

void a_first_deployment_survives(void **)
{
    survive_every_crash({[](fake_world &) {}, deploy, "completed", "123__r1", "route of 123: 123__r1"});
}

void a_next_deployment_survives(void **)
{
    survive_every_crash({revision_1, deploy, "completed", "123__r2", "route of 123: 123__r2"}, {0, 1, 3, 7});
}

void a_deployment_by_weights_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.config.rollout.steps = {{5, 30}, {25, 60}, {100, 60}};
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2"});
}

/// In steps with a gate, on traffic that grows between any two looks of it.
void in_steps(fake_world &world)
{
    world.deployed("123");
    world.config.rollout.steps = {{5, 2}, {25, 3}, {100, 2}};
    world.config.rollout.gate.emplace().min_requests = 20;
    world.config.rollout.gate->max_error_rate = 0.1;
    world.gateway.growth[1].requests = world.gateway.growth[2].requests = 10;
}

/// A client says it once `when` holds, and again where it has got no answer; never twice to one rolloutd.
world_fn says(steering verb, std::function<bool(fake_world &)> when)
{
    return [verb, when](fake_world &world) {
        const std::string word(rollout::steering_name(verb));
        if (!world.said.contains(word) && !world.answers.contains(word) && when(world)) {
            world.said.insert(word);
            world.steer("t", verb);
        }
    };
}

void a_gated_deployment_by_weights_survives(void **)
{
    survive_every_crash({in_steps, deploy, "completed", "123__r2", "route of 123: 123__r2"}, {0, 1, 7});
}

void a_green_that_the_gate_finds_bad_goes_back_over_any_crash(void **)
{
    const auto before = [](fake_world &world) {
        in_steps(world);
        world.gateway.growth[2].failures = 5;
    };
    survive_every_crash({before, deploy, "failed", "123__r1", "route of 123: 123__r1"}, {0, 1, 7});
}

void a_watched_promotion_survives(void **)
{
    const auto before = [](fake_world &world) {
        in_steps(world);
        world.config.rollout.watch_s = 3;
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2"}, {0, 1, 7});
}

void a_watch_that_takes_the_promotion_back_survives(void **)
{
    for (const char *old : {"delete", "archive", "keep"}) {
        const auto before = [old](fake_world &world) {
            in_steps(world);
            world.config.rollout.watch_s = 3;
            world.config.rollout.old = old;
        };
        const auto fails_then = [](fake_world &world) {
            if (world.route("123") == "route of 123: 123__r2") {
                world.gateway.growth[2].failures = 5;
            }
        };
        survive_every_crash({before, deploy, "failed", "123__r1", "route of 123: 123__r1", 0, fails_then}, {0, 1, 7});
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
        const auto go_back = [](fake_world &world) { world.steer("second", steering::rollback, "t"); };
        const bool archives = std::string(old) == "archive";
        survive_every_crash({before, go_back, "completed",
                             archives ? "123__r1; files of 123__r1 123__r2" : "123__r1 123__r2",
                             "route of 123: 123__r1", 1},
                            {0, 1, 3, 7});
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
    survive_every_crash({name_parts, submit, "completed", "123_items__r1 123_query__r1", parts_of("r1")}, {0, 1, 7});
    survive_every_crash({next, submit, "completed", "123_items__r2 123_query__r2", parts_of("r2")}, {0, 1, 7});
    survive_every_crash({next, remove, "completed", "", "route of 123: none"}, {0, 1, 7});
}

void a_cancel_in_a_hold_survives(void **)
{
    for (const unsigned weight : {5U, 25U, 100U}) {
        const auto in_the_hold = [weight](fake_world &world) { return world.task("t").traffic_weight == weight; };
        survive_every_crash({in_steps, deploy, "canceled", "123__r1", "route of 123: 123__r1", 0,
                             says(steering::cancel, in_the_hold)},
                            {0, 1, 7});
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
                             says(steering::cancel, in_it), too_late});
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
        {before, deploy, "completed", "123__r2", "route of 123: 123__r2", 0, says(steering::promote, waits)},
        {0, 1, 3, 7});
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
    const auto both = [pause = says(steering::pause, held),
                       resume = says(steering::resume, paused)](fake_world &world) {
        pause(world);
        resume(world);
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2", 0, both}, {0, 1, 3, 7});
}

void a_deployment_with_requests_in_flight_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.config.rollout.drain_s = 1;
        world.deployed("123");
        world.gateway.requests[1] = 3;
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2"});
}

void a_deployment_that_archives_survives(void **)
{
    const auto archive = [](fake_world &world) { world.deploy("t", "123", R"({"rollout": {"old": "archive"}})"); };
    survive_every_crash(
        {revision_1, archive, "completed", "123__r2; files of 123__r1 123__r2", "route of 123: 123__r2", 1});
}

void a_deployment_that_keeps_survives(void **)
{
    const auto keep = [](fake_world &world) { world.deploy("t", "123", R"({"rollout": {"old": "keep"}})"); };
    survive_every_crash({revision_1, keep, "completed", "123__r1 123__r2", "route of 123: 123__r2", 1});
}

void a_deployment_that_fails_survives(void **)
{
    for (const char *call : {"fetch", "stage", "load", "ready", "infer"}) {
        const auto before = [call](fake_world &world) {
            world.deployed("123");
            world.server.fail(call + std::string(" 123__r2"), outcome::permanent("no"));
        };
        survive_every_crash({before, deploy, "failed", "123__r1", "route of 123: 123__r1"});
    }
}

void a_deployment_with_failures_that_pass_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.config.limits.retries = 10;
        for (const char *call : {"fetch 123__r2", "load 123__r2", "unload 123__r1"}) {
            world.server.fail(call, outcome::transient("busy"), 2);
        }
    };
    survive_every_crash({before, deploy, "completed", "123__r2", "route of 123: 123__r2"});
}

void a_deletion_survives(void **)
{
    survive_every_crash({revision_1, remove, "completed", "", "route of 123: none"}, {0, 1, 3, 7});
}

void a_deletion_of_all_that_was_kept_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.config.rollout.old = "keep";
        world.deployed("123");
        world.config.rollout.old = "archive";
        world.deployed("123");
    };
    survive_every_crash({before, remove, "completed", "", "route of 123: none"});
}

void a_deletion_that_fails_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.server.fail("unload", outcome::permanent("it hangs"));
    };
    survive_every_crash({before, remove, "failed", "123__r1", "route of 123: 123__r1"});
}

void a_shift_goes_on_at_the_weight_that_it_had(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {25, 60}, {100, 60}};
    deploy(world);
    world.time.run_for(std::chrono::seconds(40));
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 25 %");
    world.story.clear();
    world.crash();
    assert_text(world.finish("t"), "completed");
    assert_false(world.has("route of 123: 123__r1, 123__r2 5 %"));
    assert_true(world.has("route of 123: 123__r1, 123__r2 100 %"));
}

void a_name_that_the_configuration_has_changed_since_is_kept_to_the_end(void **)
{
    for (const char *call : {"fetch", "load"}) {
        fake_world world;
        world.server.held.insert(call);
        deploy(world);
        world.time.settle();
        world.config.backends["default"].model_name = "new-{model_id}-{revision}";
        world.server.held.clear();
        world.crash();
        assert_text(world.finish("t"), "completed");
        assert_text(world.server_holds(), "123__r1");
        world.deployed("123");
        assert_text(world.server_holds(), "new-123-2");
    }
}

void a_refusal_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("456");
        world.config.limits.max_deployed_models = 1;
    };
    for (const unsigned calls : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
        fake_world world;
        before(world);
        deploy(world);
        run_calls(world, {}, calls);
        world.crash();
        deploy(world);
        assert_text(world.finish("t"), "refused");
        assert_text(world.server_holds(), "456__r1");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_first_deployment_survives),
        cmocka_unit_test(a_next_deployment_survives),
        cmocka_unit_test(a_deployment_by_weights_survives),
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
        cmocka_unit_test(a_deployment_with_requests_in_flight_survives),
        cmocka_unit_test(a_deployment_that_archives_survives),
        cmocka_unit_test(a_deployment_that_keeps_survives),
        cmocka_unit_test(a_deployment_that_fails_survives),
        cmocka_unit_test(a_deployment_with_failures_that_pass_survives),
        cmocka_unit_test(a_deletion_survives),
        cmocka_unit_test(a_deletion_of_all_that_was_kept_survives),
        cmocka_unit_test(a_deletion_that_fails_survives),
        cmocka_unit_test(a_shift_goes_on_at_the_weight_that_it_had),
        cmocka_unit_test(a_name_that_the_configuration_has_changed_since_is_kept_to_the_end),
        cmocka_unit_test(a_refusal_survives),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
