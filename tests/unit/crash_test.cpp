// rolloutd is killed between any two calls of a task and started again: the task must end as if nothing had happened.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fake_world.hpp"
#include "tests/unit/quiet.hpp"

#include <functional>
#include <initializer_list>

namespace {

using rollout::outcome;
using world_fn = std::function<void(fake_world &)>;

struct trial {
    world_fn before;         ///< what is deployed, and what will fail
    world_fn submit;         ///< posts the task `t`
    std::string status;      ///< at the end
    std::string server;      ///< what stands on it then
    std::string route;       ///< what the gateway follows then
    unsigned kept_files = 0; ///< of the model, in the journal
};

/// Runs so many calls, or fewer where the task has ended; says which.
bool run_calls(fake_world &world, unsigned calls)
{
    for (unsigned i = 0; i < calls; ++i) {
        if (world.is_over("t") || !world.time.next()) {
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
std::string faults_at_the_end(fake_world &world, const trial &of)
{
    std::string words;
    const auto compare = [&](const char *what, const std::string &is, const std::string &should_be) {
        if (is != should_be) {
            words += std::string(what) + ": \"" + is + "\" and not \"" + should_be + "\"\n";
        }
    };
    compare("status", world.finish("t"), of.status);
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
                died = run_calls(world, calls);
                crash(world, of);
                if (again != 0) {
                    run_calls(world, again);
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
        run_calls(world, calls);
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
