#include "common/base/timestamp.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

constexpr const char *smoke_once = R"({"rollout": {"smoke": {"request": {"inputs": []}}}})";

/// Is all as it was before the failed task?
void only_revision_1_is_left(fake_world &world)
{
    assert_text(world.server_holds(), "123__r1");
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_text(world.violations(), "");
    const auto of = world.model("123");
    assert_int_equal(of.blue->revision, 1);
    assert_false(of.green.has_value() || of.incoming.has_value());
    assert_true(of.retired.empty());
    assert_int_equal(of.weight, 0);
}

void a_failure_of_any_step_leaves_blue_serving_and_nothing_of_green(void **)
{
    const std::pair<const char *, const char *> calls[] = {{"check_vacant", "fetch"}, {"fetch", "fetch"},
                                                           {"stage", "stage"},        {"load", "load"},
                                                           {"ready", "ready"},        {"infer", "smoke"}};
    for (const auto &[call, step] : calls) {
        fake_world world;
        world.deployed("123");
        world.server.fail(call + std::string(" 123__r2"), outcome::permanent("the server said no"));
        world.deploy("t", "123", smoke_once);
        assert_text(world.finish("t"), "failed");
        only_revision_1_is_left(world);
        const auto what = world.task("t");
        assert_text(what.detail,
                    "Step " + std::string(step) + " failed: the server said no. Revision 1 serves as before.");
        assert_text(what.step, "rollback");
        assert_int_equal(what.traffic_weight, 0);
        for (const auto &one : what.steps) {
            const bool failed = one.name == step;
            assert_true(failed == (one.state == rollout::step_state::failed));
            assert_true(!failed || one.detail == "the server said no");
        }
    }
}

void an_upstream_that_a_gateway_does_not_know_is_refused_before_anything_is_fetched(void **)
{
    fake_world world;
    world.deployed("123");
    world.process->gateways.unknown_upstreams = {"inference"};
    world.deploy("t", "123");
    assert_text(world.finish("t"), "refused");
    assert_text(world.task("t").detail, "the gateway has no upstream block \"inference\".");
    assert_text(world.told(), "");
    only_revision_1_is_left(world);

    world.process->gateways.unknown_upstreams.clear();
    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
}

void a_gateway_that_comes_without_the_upstream_is_found_before_traffic_moves(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123", smoke_once);
    assert_true(world.time.run_until([&world] { return world.server.loaded.contains("123__r2"); }));
    world.process->gateways.unknown_upstreams = {"inference"};
    assert_text(world.finish("t"), "failed");
    assert_text(world.task("t").detail,
                "Step ready failed: the gateway has no upstream block \"inference\". Revision 1 serves as "
                "before.");
    only_revision_1_is_left(world);
    assert_true(world.told().find("route of") == std::string::npos);
}

void a_first_deployment_that_fails_leaves_nothing_at_all(void **)
{
    for (const char *call : {"fetch", "stage", "load", "ready", "infer"}) {
        fake_world world;
        world.server.fail(call, outcome::permanent("no"));
        world.deploy("t", "123", smoke_once);
        assert_text(world.finish("t"), "failed");
        assert_text(world.server_holds(), "");
        assert_text(world.route("123"), "never any");
        assert_holds(world.task("t").detail, "The model is not deployed.");
        assert_false(rollout::is_placed(world.model("123")));
    }
}

void what_the_server_may_have_loaded_is_unloaded_before_its_files_go(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("load 123__r2", outcome::permanent("no answer"));
    world.deploy("t", "123");
    world.finish("t");
    assert_true(world.place("unload 123__r2") < world.place("remove 123__r2"));

    world.story.clear();
    world.server.fail("stage 123__r3", outcome::permanent("no room"));
    world.deploy("u", "123");
    world.finish("u");
    assert_false(world.has("unload 123__r3"));
}

void what_was_in_the_repository_before_stays_there(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.repository.insert("123__r2");
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_false(world.has("remove 123__r2"));
    assert_text(world.server_holds(), "123__r1; files of 123__r1 123__r2");
}

void a_server_that_is_never_ready_fails_after_its_time(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.ready_timeout_s = 60;
    world.server.fail("ready 123__r2", outcome::transient("123__r2 is LOADING"), 100000);
    world.deploy("t", "123");
    world.time.run_for(59s);
    assert_text(world.status("t"), "in_progress");
    world.time.run_for(2s);
    assert_text(world.status("t"), "failed");
    assert_holds(world.task("t").detail, "123__r2 is not ready after 60 s: 123__r2 is LOADING");
    only_revision_1_is_left(world);
}

void what_may_pass_is_tried_again_after_pauses_that_grow(void **)
{
    fake_world world;
    world.config.limits.retries = 8;
    world.server.fail("load", outcome::transient("no connection"), 8);
    world.deploy("t", "123");
    const auto attempts = [&] { return std::count(world.story.begin(), world.story.end(), "load 123__r1"); };
    world.time.settle();
    assert_int_equal(attempts(), 1);
    int made = 1;
    for (const auto pause : {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16000ms, 30000ms, 30000ms}) {
        const auto at = rollout::timestamp(world.time.wall_us() + std::chrono::microseconds(pause).count());
        assert_text(world.task("t").detail, "Attempt " + std::to_string(made) +
                                                " of step load failed and is repeated at " + at.substr(11, 8) +
                                                " UTC: no connection");
        assert_text(world.task("t").find_step("load")->detail, "no connection");
        world.time.run_for(pause - 1ms);
        assert_int_equal(attempts(), made);
        world.time.run_for(1ms);
        assert_int_equal(attempts(), ++made);
    }
    assert_text(world.status("t"), "completed");
    assert_int_equal(world.task("t").find_step("load")->attempts, 9);
    assert_text(world.task("t").find_step("load")->detail, "");
}

void what_does_not_pass_fails_after_its_retries(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.limits.retries = 3;
    world.server.fail("load 123__r2", outcome::transient("no connection"), 4);
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_int_equal(world.task("t").find_step("load")->attempts, 4);
    assert_text(world.task("t").detail,
                "Step load failed after 4 attempts: no connection. Revision 1 serves as before.");
    only_revision_1_is_left(world);
}

void what_will_not_pass_is_not_tried_again(void **)
{
    fake_world world;
    world.server.fail("load", outcome::permanent("no such operator"));
    world.deploy("t", "123");
    const auto before = world.time.now();
    assert_text(world.finish("t"), "failed");
    assert_true(world.time.now() == before);
    assert_int_equal(world.task("t").find_step("load")->attempts, 1);
}

void without_retries_one_attempt_is_all(void **)
{
    fake_world world;
    world.config.limits.retries = 0;
    world.server.fail("fetch", outcome::transient("busy"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_int_equal(world.task("t").find_step("fetch")->attempts, 1);
}

void a_task_that_takes_longer_than_its_limit_is_rolled_back(void **)
{
    for (const char *call : {"check_vacant", "fetch", "stage", "load", "ready", "infer"}) {
        fake_world world;
        world.deployed("123");
        world.config.limits.time_limit_s = 100;
        world.server.held.insert(call + std::string(" 123__r2"));
        world.deploy("t", "123", smoke_once);
        world.time.run_for(99s);
        assert_text(world.status("t"), "in_progress");
        world.time.run_for(2s);
        assert_text(world.status("t"), "failed");
        assert_holds(world.task("t").detail, "did not complete within the task's time limit of 100 s");
        only_revision_1_is_left(world);
    }
}

void a_shift_that_takes_longer_than_the_limit_is_rolled_back(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.limits.time_limit_s = 100;
    world.config.rollout.steps = {{5, 1000}, {100, 0}};
    world.deploy("t", "123");
    world.time.run_for(50s);
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 5 %");
    world.time.run_for(51s);
    assert_text(world.status("t"), "failed");
    only_revision_1_is_left(world);
}

void a_pause_between_attempts_ends_with_the_time_limit(void **)
{
    fake_world world;
    world.config.limits.time_limit_s = 10;
    world.config.limits.retries = 100;
    world.server.fail("fetch", outcome::transient("busy"), 100);
    world.deploy("t", "123");
    world.time.run_for(11s);
    assert_text(world.status("t"), "failed");
    assert_text(world.task("t").detail,
                "Step fetch did not complete within the task's time limit of 10 s; before that: busy. "
                "The model is not deployed.");
}

void the_time_that_a_task_worked_counts_over_a_restart(void **)
{
    fake_world world;
    world.config.limits.time_limit_s = 100;
    world.server.held.insert("load 123__r1");
    world.server.fail("fetch 123__r1", outcome::transient("busy"), 4);
    world.config.limits.retries = 10;
    world.deploy("t", "123");
    world.time.run_for(60s);
    const auto worked = world.task("t").elapsed_ms;
    assert_int_equal(worked, 500 + 1000 + 2000 + 4000 + 100); // when it last said what it waits for
    world.crash();
    world.time.run_for(92s);
    assert_text(world.status("t"), "in_progress");
    world.time.run_for(1s);
    assert_text(world.status("t"), "failed");
}

void green_is_not_unloaded_before_the_gateway_is_back_at_blue(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {25, 30}, {100, 0}};
    world.config.limits.time_limit_s = 40;
    world.deploy("t", "123");
    world.time.run_for(35s);
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 25 %");
    world.gateway.follows = false;
    world.time.run_for(600s);
    assert_true(world.has("route of 123: 123__r1"));
    assert_text(world.status("t"), "in_progress");
    assert_false(world.has("unload 123__r2"));

    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.time.settle();
    assert_text(world.status("t"), "failed");
    only_revision_1_is_left(world);
}

void a_way_back_that_a_gateway_never_follows_ends_and_unloads_nothing(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {100, 0}};
    world.config.rollout.ready_timeout_s = 300;
    world.config.rollout.drain_s = 60;
    world.config.limits.time_limit_s = 20;
    world.deploy("t", "123");
    world.time.run_for(10s);
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 5 %");
    world.gateway.follows = false;
    world.time.run_for(10s + 359s);
    assert_text(world.status("t"), "in_progress");
    world.time.run_for(2s);
    assert_text(world.status("t"), "failed");
    assert_holds(world.task("t").detail,
                 "The rollback is not complete either: after 360 s not every gateway follows the "
                 "route of model 123, so that what one may still route to stays loaded.");
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_int_equal(world.model("123").retired.size(), 1);

    world.config.limits.time_limit_s = 1000;
    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "123__r3");
    assert_text(world.violations(), "");
}

void green_is_not_unloaded_while_its_requests_are_in_flight(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 1000}, {100, 0}};
    world.config.rollout.drain_s = 600;
    world.config.limits.time_limit_s = 40;
    world.gateway.requests[2] = 1;
    world.deploy("t", "123");
    world.time.run_for(300s);
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_false(world.has("unload 123__r2"));
    world.gateway.requests[2] = 0;
    world.time.run_for(1s);
    assert_text(world.status("t"), "failed");
    only_revision_1_is_left(world);
}

void green_that_never_had_traffic_is_cleared_away_without_a_gateway(void **)
{
    fake_world world;
    world.gateway.follows = false;
    world.server.fail("load", outcome::permanent("no"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_text(world.server_holds(), "");
}

void a_way_back_that_may_pass_is_tried_again(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("ready 123__r2", outcome::permanent("no"));
    world.server.fail("unload 123__r2", outcome::transient("busy"), 3);
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_int_equal(world.task("t").find_step("rollback")->attempts, 4);
    only_revision_1_is_left(world);
}

void a_way_back_that_is_not_complete_is_said_so_and_taken_up_by_the_next_task(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("ready 123__r2", outcome::permanent("no"));
    world.server.fail("unload 123__r2", outcome::permanent("it hangs"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_text(world.task("t").detail, "Step ready failed: no. The rollback is not complete either: it hangs.");
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_text(world.route("123"), "route of 123: 123__r1");

    world.server.mend("unload 123__r2");
    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "123__r3");
}

void an_old_revision_that_stays_is_no_failure_of_the_new_one(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("unload 123__r1", outcome::permanent("it hangs"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_holds(world.task("t").detail, "Revision 2 serves all traffic, but the old one could not be taken off the "
                                         "server.");
    assert_holds(world.task("t").detail, "it hangs");
    assert_text(world.route("123"), "route of 123: 123__r2");

    world.server.mend("unload 123__r1");
    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "123__r3");
}

void a_time_limit_may_come_at_any_moment(void **)
{
    for (std::uint64_t limit_s = 1;; ++limit_s) {
        fake_world world;
        world.deployed("123");
        world.config.rollout.steps = {{5, 3}, {100, 0}};
        world.config.limits.time_limit_s = limit_s;
        world.time.least_time = 1s;
        world.deploy("t", "123", smoke_once);
        world.time.run_for(200s);
        if (world.status("t") == "failed") {
            only_revision_1_is_left(world);
            continue;
        }
        assert_text(world.status("t"), "completed");
        assert_text(world.route("123"), "route of 123: 123__r2");
        if (world.task("t").find_step("retire")->state == rollout::step_state::done) {
            assert_true(limit_s > 10);
            return;
        }
    }
}

void a_promotion_that_the_gateway_takes_too_long_to_follow_is_no_failure(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.limits.time_limit_s = 100;
    world.deploy("t", "123");
    world.time.run_until([&] { return world.task("t").step == "promote"; });
    world.gateway.follows = false;
    world.time.run_for(101s);
    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.time.settle();
    // Either all is as before or the new revision serves: what serves and what the task says must agree.
    const bool serves = world.route("123") == "route of 123: 123__r2";
    assert_text(world.status("t"), serves ? "completed" : "failed");
}

void what_a_failed_deployment_left_is_removed_by_a_deployment_that_archives(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("ready 123__r2", outcome::permanent("no"));
    world.server.fail("unload 123__r2", outcome::permanent("it hangs"));
    world.deploy("t", "123");
    world.finish("t");
    world.server.mend("unload 123__r2");
    world.deploy("u", "123", R"({"rollout": {"old": "archive"}})");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "123__r3; files of 123__r1 123__r3");
}

void one_revision_that_cannot_be_taken_off_does_not_keep_the_others(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("ready 123__r2", outcome::permanent("no"));
    world.server.fail("unload 123__r2", outcome::permanent("it hangs"));
    for (const char *task_id : {"t", "u", "v"}) {
        world.deploy(task_id, "123");
        world.finish(task_id);
    }
    assert_text(world.server_holds(), "123__r2 123__r4");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_of_any_step_leaves_blue_serving_and_nothing_of_green),
        cmocka_unit_test(an_upstream_that_a_gateway_does_not_know_is_refused_before_anything_is_fetched),
        cmocka_unit_test(a_gateway_that_comes_without_the_upstream_is_found_before_traffic_moves),
        cmocka_unit_test(a_first_deployment_that_fails_leaves_nothing_at_all),
        cmocka_unit_test(what_the_server_may_have_loaded_is_unloaded_before_its_files_go),
        cmocka_unit_test(what_was_in_the_repository_before_stays_there),
        cmocka_unit_test(a_server_that_is_never_ready_fails_after_its_time),
        cmocka_unit_test(what_may_pass_is_tried_again_after_pauses_that_grow),
        cmocka_unit_test(what_does_not_pass_fails_after_its_retries),
        cmocka_unit_test(what_will_not_pass_is_not_tried_again),
        cmocka_unit_test(without_retries_one_attempt_is_all),
        cmocka_unit_test(a_task_that_takes_longer_than_its_limit_is_rolled_back),
        cmocka_unit_test(a_shift_that_takes_longer_than_the_limit_is_rolled_back),
        cmocka_unit_test(a_pause_between_attempts_ends_with_the_time_limit),
        cmocka_unit_test(the_time_that_a_task_worked_counts_over_a_restart),
        cmocka_unit_test(green_is_not_unloaded_before_the_gateway_is_back_at_blue),
        cmocka_unit_test(a_way_back_that_a_gateway_never_follows_ends_and_unloads_nothing),
        cmocka_unit_test(green_is_not_unloaded_while_its_requests_are_in_flight),
        cmocka_unit_test(green_that_never_had_traffic_is_cleared_away_without_a_gateway),
        cmocka_unit_test(a_way_back_that_may_pass_is_tried_again),
        cmocka_unit_test(a_way_back_that_is_not_complete_is_said_so_and_taken_up_by_the_next_task),
        cmocka_unit_test(an_old_revision_that_stays_is_no_failure_of_the_new_one),
        cmocka_unit_test(a_time_limit_may_come_at_any_moment),
        cmocka_unit_test(a_promotion_that_the_gateway_takes_too_long_to_follow_is_no_failure),
        cmocka_unit_test(what_a_failed_deployment_left_is_removed_by_a_deployment_that_archives),
        cmocka_unit_test(one_revision_that_cannot_be_taken_off_does_not_keep_the_others),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
