// Crashes at every call of deployments and deletions that nobody steers.
#include "tests/unit/worker/rollout/crash_walk.hpp"

namespace {

using rollout::outcome;

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
    survive_every_crash({revision_1, delete_model, "completed", "", "route of 123: none"}, {0, 1, 3, 7});
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
    survive_every_crash({before, delete_model, "completed", "", "route of 123: none"});
}

void a_deletion_that_fails_survives(void **)
{
    const auto before = [](fake_world &world) {
        world.deployed("123");
        world.server.fail("unload", outcome::permanent("it hangs"));
    };
    survive_every_crash({before, delete_model, "failed", "123__r1", "route of 123: 123__r1"});
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
