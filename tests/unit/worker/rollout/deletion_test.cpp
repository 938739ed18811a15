#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

void a_deletion_takes_its_steps_in_order_and_each_is_written_before_it_runs(void **)
{
    fake_world world;
    world.deployed("123");
    world.remove("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(world.told(true), "journal: in_progress, unroute running\n"
                                  "route of 123: none\n"
                                  "followed\n"
                                  "journal: in_progress, drain running\n"
                                  "journal: in_progress, unload running\n"
                                  "unload 123__r1\n"
                                  "journal: in_progress, remove running\n"
                                  "remove 123__r1\n"
                                  "journal: completed, remove done\n");
    assert_text(world.server_holds(), "");
    assert_text(world.route("123"), "route of 123: none");
    assert_false(rollout::is_placed(world.model("123")));
    const auto what = world.task("t");
    assert_text(what.detail, "Model 123 is deleted.");
    assert_int_equal(what.model_revision, 1);
    assert_true(what.progress == 1);
    assert_int_equal(what.steps.size(), 4);
}

void a_model_is_not_unloaded_before_the_gateway_has_forgotten_it(void **)
{
    fake_world world;
    world.deployed("123");
    world.gateway.follows = false;
    world.remove("t", "123");
    world.time.run_for(1h);
    assert_text(world.task("t").step, "unroute");
    assert_false(world.has("unload 123__r1"));
    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.time.settle();
    assert_text(world.status("t"), "completed");
    assert_text(world.violations(), "");
}

void a_model_is_drained_before_it_is_unloaded(void **)
{
    fake_world world;
    world.config.rollout.drain_s = 30;
    world.deployed("123");
    world.gateway.requests[1] = 1;
    world.remove("t", "123");
    world.time.run_for(20s);
    assert_text(world.task("t").step, "drain");
    assert_false(world.has("unload 123__r1"));
    world.gateway.requests[1] = 0;
    world.time.run_for(1s);
    assert_text(world.status("t"), "completed");

    world.deployed("456");
    world.gateway.requests[1] = 1;
    world.remove("u", "456");
    world.time.run_for(29s);
    assert_false(world.has("unload 456__r1"));
    world.time.run_for(2s);
    assert_text(world.status("u"), "completed");
}

void a_model_that_is_not_deployed_is_refused(void **)
{
    fake_world world;
    world.remove("t", "123");
    assert_text(world.finish("t"), "refused");
    assert_text(world.task("t").detail, "Model 123 is not deployed; there is nothing to delete.");
    assert_true(world.task("t").steps.empty());

    world.deployed("123");
    world.remove("u", "123");
    assert_text(world.finish("u"), "completed");
    world.remove("v", "123");
    assert_text(world.finish("v"), "refused");
}

void a_protected_model_is_not_deleted(void **)
{
    fake_world world;
    world.deployed("search-1");
    world.config.models["search-*"].protect = true;
    world.remove("t", "search-1");
    assert_text(world.finish("t"), "refused");
    assert_text(world.task("t").detail,
                "Model search-1 is protected: `protect` of \"search-*\" in `models` of rolloutd's "
                "configuration is true; set it to false to delete the model.");
    assert_text(world.server_holds(), "search-1__r1");
    world.config.models["search-1"].protect = false; // the exact name's entry alone applies
    world.remove("u", "search-1");
    assert_text(world.finish("u"), "completed");
}

void a_deletion_drains_as_long_as_its_models_settings_say(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.models["1*"].rollout.drain_s = 90;
    world.gateway.requests[1] = 1;
    world.remove("t", "123");
    world.time.run_for(89s);
    assert_text(world.task("t").step, "drain");
    world.time.run_for(2s);
    assert_text(world.status("t"), "completed");
}

void a_deletion_during_a_deployment_of_its_model_is_refused_at_once(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.held.insert("load 123__r2");
    world.deploy("t", "123");
    world.time.settle();
    world.remove("u", "123");
    world.time.settle();
    assert_text(world.status("u"), "refused");
    const std::string why = world.task("u").detail;
    assert_text(why, "Model 123 is in use by deployment task t, which is running; cancel it or wait for its end.");
    assert_true(world.answers["u"].created);
    assert_int_equal(world.process->tasks.waiting(), 0);

    world.server.mend("load 123__r2");
    world.crash();
    assert_text(world.finish("t"), "completed");
    world.remove("u", "123"); // asked again: the same task
    world.time.settle();
    assert_false(world.answers["u"].created);
    assert_text(world.task("u").detail, why);
    world.remove("v", "123");
    assert_text(world.finish("v"), "completed");
}

void a_deleted_model_can_be_deployed_again_under_a_new_revision(void **)
{
    fake_world world;
    world.deployed("123");
    world.remove("t", "123");
    world.finish("t");
    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "123__r2");
}

void all_that_was_kept_goes_too(void **)
{
    fake_world world;
    world.config.rollout.old = "archive";
    world.deployed("123");
    world.deployed("123");
    world.config.rollout.old = "keep";
    world.deployed("123");
    assert_text(world.server_holds(), "123__r2 123__r3; files of 123__r1 123__r2 123__r3");
    world.remove("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "");
    assert_false(world.has("unload 123__r1"));
    assert_false(rollout::is_placed(world.model("123")));
}

/// Revision 3 serves, 2 is kept loaded, 1 archived.
void keep_two(fake_world &world)
{
    world.config.rollout.old = "archive";
    world.deployed("123");
    world.deployed("123");
    world.config.rollout.old = "keep";
    world.deployed("123");
}

/// As `keep_two` has made it.
void assert_two_are_kept(fake_world &world)
{
    const auto of = world.model("123");
    assert_int_equal(of.blue->revision, 3);
    assert_true(of.retired.empty());
    assert_int_equal(of.kept.size(), 2);
    assert_int_equal(of.kept[0].revision, 1);
    assert_false(of.kept[0].load_begun);
    assert_int_equal(of.kept[1].revision, 2);
    assert_true(of.kept[1].load_begun);
    assert_text(world.server_holds(), "123__r2 123__r3; files of 123__r1 123__r2 123__r3");

    world.config.rollout.keep_revisions = 3;
    world.deploy("next", "123");
    assert_text(world.finish("next"), "completed");
    assert_int_equal(world.model("123").kept.size(), 3);
}

void what_was_kept_is_kept_again_when_a_client_cancels(void **)
{
    for (const bool dies : {false, true}) {
        fake_world world;
        keep_two(world);
        world.gateway.requests[3] = 1;
        world.remove("t", "123");
        world.time.run_for(1s);
        assert_text(world.task("t").step, "drain");
        world.process->tasks.steer({rollout::task_kind::remove, "t", rollout::task_verb::cancel, {}},
                                   world.noted_as("cancel"));
        world.time.run_until([&] { return world.answers.contains("cancel"); });
        if (dies) {
            world.crash();
        }
        assert_text(world.finish("t"), "canceled");
        world.gateway.requests[3] = 0;
        assert_two_are_kept(world);
    }
}

void what_was_kept_is_kept_again_when_the_model_cannot_be_unloaded(void **)
{
    fake_world world;
    keep_two(world);
    world.server.fail("unload 123__r2", outcome::permanent("it hangs"));
    world.remove("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_true(world.has("unload 123__r3"));
    world.server.mend("unload 123__r2");
    assert_two_are_kept(world);
}

void a_way_back_that_a_gateway_never_follows_ends(void **)
{
    fake_world world;
    world.deployed("123");
    world.gateway.follows = false;
    world.config.limits.time_limit_s = 20;
    world.remove("t", "123");
    world.time.run_for(20s + 600s);
    assert_text(world.status("t"), "in_progress");
    world.time.run_for(40s);
    assert_text(world.status("t"), "failed");
    assert_holds(world.task("t").detail, "not every gateway follows the route of model 123");
    assert_text(world.server_holds(), "123__r1");
    assert_int_equal(world.model("123").blue->revision, 1);
}

void another_model_is_not_touched(void **)
{
    fake_world world;
    world.deployed("123");
    world.deployed("456");
    world.remove("t", "123");
    world.finish("t");
    assert_text(world.server_holds(), "456__r1");
    assert_text(world.route("456"), "route of 456: 456__r1");
}

void an_unload_that_may_pass_is_tried_again(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("unload", outcome::transient("busy"), 3);
    world.remove("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_int_equal(world.task("t").find_step("unload")->attempts, 4);
}

void a_model_that_cannot_be_unloaded_serves_as_before(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("unload", outcome::permanent("it hangs"));
    world.remove("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_text(world.task("t").detail, "Step unload failed: it hangs. The model serves as before.");
    // And not only soon: who reads that it failed finds it serving.
    assert_true(world.has("journal: failed, rollback done"));
    const auto over =
        world.story.begin() + static_cast<std::ptrdiff_t>(world.place("journal: failed, rollback done"));
    assert_int_equal(std::count(world.story.begin(), over, "route of 123: 123__r1"), 1);
    assert_text(*std::prev(over), "followed");
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_text(world.server_holds(), "123__r1");
    assert_int_equal(world.model("123").blue->revision, 1);
}

void a_model_comes_back_into_the_traffic_only_when_it_is_ready(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("unload", outcome::permanent("it hangs"));
    world.server.fail("ready", outcome::transient("LOADING"), 5);
    world.remove("t", "123");
    world.time.run_until([&] { return world.has("ready 123__r1"); });
    assert_text(world.route("123"), "route of 123: none");
    assert_text(world.finish("t"), "failed");
    assert_text(world.route("123"), "route of 123: 123__r1");
}

void a_deletion_that_takes_longer_than_its_limit_is_taken_back(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.limits.time_limit_s = 100;
    world.server.held.insert("unload 123__r1");
    world.remove("t", "123");
    world.time.run_for(101s);
    assert_text(world.status("t"), "failed");
    assert_holds(world.task("t").detail, "Step unload did not complete within the task's time limit of 100 s");
    assert_text(world.route("123"), "route of 123: 123__r1");
}

void a_time_limit_may_come_at_any_moment(void **)
{
    for (std::uint64_t limit_s = 1;; ++limit_s) {
        fake_world world;
        world.deployed("123");
        world.config.limits.time_limit_s = limit_s;
        world.time.least_time = 1s;
        world.remove("t", "123");
        world.time.run_for(200s);
        assert_text(world.violations(), "");
        if (world.status("t") == "completed") {
            assert_text(world.server_holds(), "");
            assert_true(limit_s > 5);
            return;
        }
        assert_text(world.status("t"), "failed");
        const bool taken_back = world.route("123") == "route of 123: 123__r1";
        assert_text(world.server_holds(), taken_back ? "123__r1" : "; files of 123__r1");
        assert_holds(world.task("t").detail, taken_back ? "The model serves as before." : "post the deletion again");
    }
}

void files_that_stay_are_a_failure_that_a_second_deletion_mends(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("remove", outcome::permanent("read-only file system"));
    world.remove("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_text(
        world.task("t").detail,
        "The model is unloaded, but not all of it is gone. Step remove failed: read-only "
        "file system. Fix the cause: the rest is tried again later, and at once if you post the deletion again.");
    assert_text(world.route("123"), "route of 123: none");
    assert_text(world.server_holds(), "; files of 123__r1");

    world.server.mend("remove");
    world.story.clear();
    world.remove("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "");
    assert_false(world.has("unload 123__r1"));
}

void what_a_failed_deployment_left_can_be_deleted(void **)
{
    fake_world world;
    world.server.fail("load", outcome::permanent("no"));
    world.server.fail("unload", outcome::permanent("it hangs"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_text(world.server_holds(), "; files of 123__r1");
    world.server.mend("unload");
    world.remove("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "");
}

void what_never_served_does_not_come_into_the_traffic_when_its_deletion_fails(void **)
{
    fake_world world;
    world.server.fail("infer", outcome::permanent("wrong answers"));
    world.server.fail("unload", outcome::permanent("it hangs"));
    world.deploy("t", "123", R"({"rollout": {"smoke": {"request": {"inputs": []}}}})");
    assert_text(world.finish("t"), "failed");
    world.remove("u", "123");
    assert_text(world.finish("u"), "failed");
    assert_text(world.route("123"), "never any");
    assert_false(world.model("123").blue.has_value());
}

void a_model_that_comes_back_is_loaded_with_its_own_configuration(void **)
{
    fake_world world;
    world.deploy("t", "123", R"({"triton": {"max_batch_size": 8}})");
    world.finish("t");
    world.server.fail("unload", outcome::permanent("it hangs"));
    world.remove("u", "123");
    assert_text(world.finish("u"), "failed");
    assert_text(world.server.loads["123__r1"], R"({"max_batch_size":8})");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_protected_model_is_not_deleted),
        cmocka_unit_test(a_deletion_drains_as_long_as_its_models_settings_say),
        cmocka_unit_test(a_deletion_during_a_deployment_of_its_model_is_refused_at_once),
        cmocka_unit_test(a_deletion_takes_its_steps_in_order_and_each_is_written_before_it_runs),
        cmocka_unit_test(a_model_is_not_unloaded_before_the_gateway_has_forgotten_it),
        cmocka_unit_test(a_model_is_drained_before_it_is_unloaded),
        cmocka_unit_test(a_model_that_is_not_deployed_is_refused),
        cmocka_unit_test(a_deleted_model_can_be_deployed_again_under_a_new_revision),
        cmocka_unit_test(all_that_was_kept_goes_too),
        cmocka_unit_test(what_was_kept_is_kept_again_when_a_client_cancels),
        cmocka_unit_test(what_was_kept_is_kept_again_when_the_model_cannot_be_unloaded),
        cmocka_unit_test(a_way_back_that_a_gateway_never_follows_ends),
        cmocka_unit_test(another_model_is_not_touched),
        cmocka_unit_test(an_unload_that_may_pass_is_tried_again),
        cmocka_unit_test(a_model_that_cannot_be_unloaded_serves_as_before),
        cmocka_unit_test(a_model_comes_back_into_the_traffic_only_when_it_is_ready),
        cmocka_unit_test(a_deletion_that_takes_longer_than_its_limit_is_taken_back),
        cmocka_unit_test(a_time_limit_may_come_at_any_moment),
        cmocka_unit_test(files_that_stay_are_a_failure_that_a_second_deletion_mends),
        cmocka_unit_test(what_a_failed_deployment_left_can_be_deleted),
        cmocka_unit_test(what_never_served_does_not_come_into_the_traffic_when_its_deletion_fails),
        cmocka_unit_test(a_model_that_comes_back_is_loaded_with_its_own_configuration),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
