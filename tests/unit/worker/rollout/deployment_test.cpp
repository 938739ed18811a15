#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

constexpr const char *smoke_twice = R"({"rollout": {"smoke": {"request": {"inputs": []}, "repeat": 2}}})";

std::string states_of(const rollout::task &what)
{
    std::string all;
    for (const auto &step : what.steps) {
        all += (all.empty() ? "" : ", ") + step.name + " " + std::string(rollout::step_state_name(step.state));
    }
    return all;
}

void a_first_deployment_takes_all_steps_in_order_and_goes_straight_to_all_traffic(void **)
{
    fake_world world;
    world.config.rollout.steps = {{5, 30}, {100, 60}};
    const auto before = world.time.now();
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(world.told(), "check_vacant 123__r1\n"
                              "fetch 123__r1\n"
                              "stage 123__r1\n"
                              "load 123__r1\n"
                              "ready 123__r1\n"
                              "route of 123: 123__r1 100 %\n"
                              "followed\n"
                              "route of 123: 123__r1\n"
                              "followed\n");
    assert_true(world.time.now() == before);
    assert_text(world.server_holds(), "123__r1");
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_text(world.task("t").detail, "Revision 1 serves all traffic of model 123.");
}

void the_next_deployment_moves_the_traffic_and_takes_the_old_revision_away(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(world.told(), "check_vacant 123__r2\n"
                              "fetch 123__r2\n"
                              "stage 123__r2\n"
                              "load 123__r2\n"
                              "ready 123__r2\n"
                              "route of 123: 123__r1, 123__r2 100 %\n"
                              "followed\n"
                              "route of 123: 123__r2\n"
                              "followed\n"
                              "unload 123__r1\n"
                              "remove 123__r1\n");
    assert_text(world.server_holds(), "123__r2");
    assert_text(world.violations(), "");
    assert_int_equal(world.task("t").model_revision, 2);
}

/// But for `ready`, which only asks the server, and for a step that has nothing to do.
void each_step_is_in_the_journal_before_it_runs_and_again_when_it_ends(void **)
{
    fake_world world;
    world.deploy("t", "123", smoke_twice);
    assert_text(world.finish("t"), "completed");
    assert_text(world.told(true), "journal: in_progress, fetch running\n"
                                  "check_vacant 123__r1\n"
                                  "fetch 123__r1\n"
                                  "journal: in_progress, stage running\n"
                                  "stage 123__r1\n"
                                  "journal: in_progress, load running\n"
                                  "load 123__r1\n"
                                  "ready 123__r1\n"
                                  "journal: in_progress, ready running\n"
                                  "journal: in_progress, smoke running\n"
                                  "infer 123__r1\n"
                                  "infer 123__r1\n"
                                  "journal: in_progress, shift running\n"
                                  "route of 123: 123__r1 100 %\n"
                                  "followed\n"
                                  "journal: in_progress, promote running\n"
                                  "route of 123: 123__r1\n"
                                  "followed\n"
                                  "journal: completed, retire done\n");
}

void what_a_hook_does_after_the_server_was_asked_is_in_the_journal_before(void **)
{
    fake_world world;
    world.config.rollout.hooks["before_shift"] = {{"http://hook", {}, 10}};
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_holds(world.told(true), "journal: in_progress, ready running\n"
                                   "ready 123__r1\n"
                                   "hook before_shift");
}

void what_is_to_be_retired_is_in_the_journal_before(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_holds(world.told(true), "journal: in_progress, retire running\n"
                                   "unload 123__r1\n");
    world.config.rollout.hooks["after_promote"] = {{"http://hook", {}, 10}};
    world.deploy("u", "other");
    assert_text(world.finish("u"), "completed");
    assert_holds(world.told(true), "journal: in_progress, retire running\n"
                                   "hook after_promote");
}

void a_finished_document_shows_every_step_with_its_times(void **)
{
    fake_world world;
    world.deploy("t", "123");
    world.finish("t");
    const auto what = world.task("t");
    assert_text(states_of(what),
                "fetch done, stage done, load done, ready done, smoke skipped, shift done, promote done, "
                "retire done");
    assert_text(what.steps[0].detail, "1 file, 3 bytes");
    assert_text(what.steps[4].detail, "not configured");
    assert_true(what.progress == 1);
    assert_int_equal(what.traffic_weight, 100);
    for (const auto &step : what.steps) {
        const bool skipped = step.name == "smoke";
        assert_int_equal(step.attempts, skipped ? 0 : 1);
        assert_true(skipped == (step.started_us == 0) && skipped == (step.ended_us == 0));
    }
}

void progress_grows_with_the_steps(void **)
{
    fake_world world;
    world.deploy("t", "123");
    double last = 0;
    std::string seen;
    world.time.run_until([&] {
        if (world.knows("t")) {
            const auto what = world.task("t");
            assert_true(what.progress >= last && what.progress <= 1);
            last = what.progress;
            if (!what.step.empty() && !seen.ends_with(what.step)) {
                seen += " " + what.step;
            }
        }
        return world.is_over("t");
    });
    assert_text(seen, " fetch stage load ready shift promote retire");
    assert_true(last == 1);
}

void a_weight_is_held_for_its_time(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {25, 60}, {100, 10}};
    world.deploy("t", "123");
    world.time.settle();
    const auto weight = [&] { return world.task("t").traffic_weight; };
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 5 %");
    assert_int_equal(weight(), 5);
    assert_text(world.task("t").detail,
                "Revision 2 has 5 % of the traffic of model 123 until 16:09:52 UTC at the earliest.");
    world.time.run_for(29999ms);
    assert_int_equal(weight(), 5);
    world.time.run_for(1ms);
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 25 %");
    world.time.run_for(59999ms);
    assert_int_equal(weight(), 25);
    world.time.run_for(1ms);
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 100 %");
    assert_true(world.server.loaded.contains("123__r1"));
    world.time.run_for(10s);
    assert_text(world.status("t"), "completed");
    assert_text(world.server_holds(), "123__r2");
}

void after_a_last_step_below_100_percent_the_promotion_brings_all_traffic(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{25, 60}, {50, 60}};
    world.deploy("t", "123");
    world.time.run_for(119s);
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 50 %");
    assert_text(world.finish("t"), "completed");
    assert_text(world.route("123"), "route of 123: 123__r2");
    auto what = world.task("t");
    assert_text(what.find_step("shift")->detail, "after the last step, of 50 %, the promotion brings all traffic");
}

void a_hold_begins_when_every_gateway_follows(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{5, 30}, {100, 0}};
    world.gateway.follows = false;
    world.deploy("t", "123");
    world.time.run_for(100s);
    assert_int_equal(world.task("t").traffic_weight, 5);
    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.time.run_for(29s);
    assert_int_equal(world.task("t").traffic_weight, 5);
    world.time.run_for(2s);
    assert_text(world.status("t"), "completed");
}

void a_model_is_not_unloaded_before_the_gateway_has_left_it(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123");
    world.time.run_until([&] { return world.task("t").step == "promote"; });
    world.gateway.follows = false;
    world.time.run_for(1h);
    assert_true(world.has("route of 123: 123__r2"));
    assert_text(world.route("123"), "route of 123: 123__r1, 123__r2 100 %");
    assert_text(world.status("t"), "in_progress");
    assert_false(world.has("unload 123__r1"));

    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.time.settle();
    assert_text(world.status("t"), "completed");
    assert_true(world.has("unload 123__r1"));
    assert_text(world.violations(), "");
}

void a_model_is_not_unloaded_while_requests_are_in_flight(void **)
{
    fake_world world;
    world.config.rollout.drain_s = 600;
    world.deployed("123");
    world.gateway.requests[1] = 2;
    world.deploy("t", "123");
    world.time.run_for(300s);
    assert_text(world.task("t").step, "retire");
    assert_false(world.has("unload 123__r1"));
    world.gateway.requests[1] = 0;
    world.time.run_for(1s);
    assert_text(world.status("t"), "completed");
    assert_true(world.has("unload 123__r1"));
}

void a_drain_ends_after_its_time_and_says_what_was_left(void **)
{
    for (const auto &[requests, words] :
         {std::pair{std::optional<std::uint64_t>(1), "1 request is in flight"},
          std::pair{std::optional<std::uint64_t>(), "a gateway does not say what it has in flight"}}) {
        fake_world world;
        world.config.rollout.drain_s = 30;
        world.deployed("123");
        world.gateway.requests[1] = requests;
        world.deploy("t", "123");
        world.time.run_for(29s);
        assert_false(world.has("unload 123__r1"));
        world.time.run_for(2s);
        assert_text(world.status("t"), "completed");
        assert_true(world.has("unload 123__r1"));
        assert_holds(world.task("t").find_step("retire")->detail, words);
        assert_text(world.server_holds(), "123__r2");
    }
}

void archived_revisions_beyond_the_bound_are_removed_the_oldest_first(void **)
{
    fake_world world;
    world.config.rollout.old = "archive";
    world.config.rollout.keep_revisions = 2;
    for (int i = 0; i < 4; ++i) {
        world.deployed("123");
    }
    assert_text(world.server_holds(), "123__r4; files of 123__r2 123__r3 123__r4");
    world.config.rollout.old = "keep";
    world.deployed("123");
    assert_text(world.server_holds(), "123__r4 123__r5; files of 123__r3 123__r4 123__r5");
    world.deployed("123");
    world.deployed("123");
    assert_text(world.server_holds(), "123__r5 123__r6 123__r7");
    world.config.rollout.keep_revisions = 0;
    world.deployed("123");
    assert_text(world.server_holds(), "123__r8");
    assert_text(world.violations(), "");
}

void an_archived_revision_is_unloaded_and_keeps_its_files(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123", R"({"rollout": {"old": "archive"}})");
    assert_text(world.finish("t"), "completed");
    assert_true(world.has("unload 123__r1"));
    assert_false(world.has("remove 123__r1"));
    assert_text(world.server_holds(), "123__r2; files of 123__r1 123__r2");
    assert_int_equal(world.model("123").kept.size(), 1);
    assert_false(world.model("123").kept[0].load_begun);
}

void a_kept_revision_stays_loaded_without_traffic(void **)
{
    fake_world world;
    world.deployed("123");
    world.deploy("t", "123", R"({"rollout": {"old": "keep"}})");
    assert_text(world.finish("t"), "completed");
    assert_false(world.has("unload 123__r1"));
    assert_text(world.server_holds(), "123__r1 123__r2");
    assert_text(world.route("123"), "route of 123: 123__r2");
    assert_true(world.model("123").kept.at(0).load_begun);
    assert_true(world.model("123").retired.empty());
}

void a_smoke_test_is_an_inference_as_often_as_asked(void **)
{
    fake_world world;
    world.deploy("t", "123", smoke_twice);
    assert_text(world.finish("t"), "completed");
    assert_int_equal(std::count(world.story.begin(), world.story.end(), "infer 123__r1"), 2);
    assert_true(world.place("infer 123__r1") < world.place("route of 123: 123__r1 100 %"));
}

void the_server_gets_the_tasks_model_configuration(void **)
{
    fake_world world;
    world.deploy("t", "123", R"({"triton": {"max_batch_size": 8}})");
    world.finish("t");
    assert_text(world.server.loads["123__r1"], R"({"max_batch_size":8})");
    world.deploy("u", "456");
    world.finish("u");
    assert_text(world.server.loads["456__r1"], "");
}

void a_server_that_is_not_ready_yet_is_asked_again(void **)
{
    fake_world world;
    world.server.fail("ready", outcome::transient("123__r1 is LOADING"), 5);
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_int_equal(std::count(world.story.begin(), world.story.end(), "ready 123__r1"), 6);
    assert_int_equal(world.task("t").find_step("ready")->attempts, 1);
}

void the_questions_whether_a_model_is_ready_become_rarer(void **)
{
    fake_world world;
    world.server.fail("ready", outcome::transient("123__r1 is LOADING"), 100000);
    world.deploy("t", "123");
    world.time.run_for(1s);
    const auto asked = [&] { return std::count(world.story.begin(), world.story.end(), "ready 123__r1"); };
    assert_true(asked() >= 3);
    world.time.run_for(300s);
    assert_true(asked() >= 290 && asked() <= 310);
}

void a_revision_number_is_given_once(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.fail("load 123__r2", outcome::permanent("no"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    world.crash();
    world.deploy("u", "123");
    assert_text(world.finish("u"), "completed");
    assert_text(world.server_holds(), "123__r3");
    assert_int_equal(world.task("u").model_revision, 3);
}

void a_journal_that_fails_is_asked_again_before_anything_goes_on(void **)
{
    fake_world world;
    world.deploy("t", "123");
    world.time.run_until([&] { return world.has("fetch 123__r1"); });
    world.process->journal.failing_writes = 5;
    world.time.run_for(4s);
    assert_false(world.has("stage 123__r1"));
    world.time.run_for(2s);
    assert_text(world.status("t"), "completed");
}

/// A rollout that is held at 25 %, as the version before the sequential test wrote it, in a rolloutd of now.
void hold_as_the_version_before(fake_world &world)
{
    world.deployed("123");
    world.deploy("t", "123", R"({"rollout": {"steps": [{"weight": 25, "hold_s": 30}, {"weight": 100, "hold_s": 5}],
                                             "gate": {"min_requests": 50, "max_error_rate": 0.01, "max_p99_ms": 500,
                                                      "max_error_ratio_to_blue": 2.0}}})");
    world.time.run_until([&] { return world.task("t").traffic_weight == 25; });
    auto what = world.task("t");
    what.plan = nullptr;
    what.gate = rollout::share(json_of(R"({"weight": 25, "verdict": "undecided",
        "reason": "green has had 3 of the 50 requests of min_requests",
        "green": {"requests": 3, "failures": 0, "client_errors": 0, "error_rate": 0.0, "p99_ms": 4, "mean_ms": 2.5},
        "blue": {"requests": 9, "failures": 0, "client_errors": 0, "error_rate": 0.0, "p99_ms": 4, "mean_ms": 2.5},
        "limits": {"min_requests": 50, "max_error_rate": 0.01}})"));
    world.file.tasks["t"] = rollout::row_of(what, world.file.revision);
    world.crash();
}

void a_rollout_of_the_version_before_goes_on_under_the_rule_of_now(void **)
{
    fake_world world;
    hold_as_the_version_before(world);
    world.gateway.growth[1].requests = 30;
    world.gateway.growth[2].requests = 10;
    assert_text(world.finish("t"), "completed");
    const auto gate = world.task("t").gate;
    assert_text(rollout::json_text(gate.get(), "verdict"), "good");
    assert_non_null(json_object_get(json_object_get(gate.get(), "evidence"), "max_error_rate"));
    assert_non_null(json_object_get(json_object_get(world.task("t").plan.get(), "gate"), "false_alarm_of_each_hold"));
}

void one_that_fails_goes_back_by_its_evidence_however_few_its_requests_are(void **)
{
    fake_world world;
    hold_as_the_version_before(world);
    world.gateway.growth[1].requests = 3;
    world.gateway.growth[2].requests = world.gateway.growth[2].failures = 1;
    assert_text(world.finish("t"), "failed");
    const auto green = json_object_get(world.task("t").gate.get(), "green");
    assert_true(rollout::json_number(green, "requests") <= 4);
    assert_text(world.route("123"), "route of 123: 123__r1");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(archived_revisions_beyond_the_bound_are_removed_the_oldest_first),
        cmocka_unit_test(a_first_deployment_takes_all_steps_in_order_and_goes_straight_to_all_traffic),
        cmocka_unit_test(the_next_deployment_moves_the_traffic_and_takes_the_old_revision_away),
        cmocka_unit_test(each_step_is_in_the_journal_before_it_runs_and_again_when_it_ends),
        cmocka_unit_test(what_a_hook_does_after_the_server_was_asked_is_in_the_journal_before),
        cmocka_unit_test(what_is_to_be_retired_is_in_the_journal_before),
        cmocka_unit_test(a_finished_document_shows_every_step_with_its_times),
        cmocka_unit_test(progress_grows_with_the_steps),
        cmocka_unit_test(a_weight_is_held_for_its_time),
        cmocka_unit_test(after_a_last_step_below_100_percent_the_promotion_brings_all_traffic),
        cmocka_unit_test(a_hold_begins_when_every_gateway_follows),
        cmocka_unit_test(a_model_is_not_unloaded_before_the_gateway_has_left_it),
        cmocka_unit_test(a_model_is_not_unloaded_while_requests_are_in_flight),
        cmocka_unit_test(a_drain_ends_after_its_time_and_says_what_was_left),
        cmocka_unit_test(an_archived_revision_is_unloaded_and_keeps_its_files),
        cmocka_unit_test(a_kept_revision_stays_loaded_without_traffic),
        cmocka_unit_test(a_smoke_test_is_an_inference_as_often_as_asked),
        cmocka_unit_test(the_server_gets_the_tasks_model_configuration),
        cmocka_unit_test(a_server_that_is_not_ready_yet_is_asked_again),
        cmocka_unit_test(the_questions_whether_a_model_is_ready_become_rarer),
        cmocka_unit_test(a_revision_number_is_given_once),
        cmocka_unit_test(a_journal_that_fails_is_asked_again_before_anything_goes_on),
        cmocka_unit_test(a_rollout_of_the_version_before_goes_on_under_the_rule_of_now),
        cmocka_unit_test(one_that_fails_goes_back_by_its_evidence_however_few_its_requests_are),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
