// What a task's document says it waits for, at every moment of its life, and what that costs the journal.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using rollout::task_status;
using rollout::task_verb;

std::string waits_for(const fake_world &world, const std::string &task_id = "t")
{
    return std::string(rollout::wait_reason_name(world.task(task_id).waits_for));
}

bool says(const fake_world &world, const std::string &words, const std::string &task_id = "t")
{
    return world.task(task_id).detail.find(words) != std::string::npos;
}

void assert_says(const fake_world &world, const char *reason, const std::string &words,
                 const std::string &task_id = "t")
{
    assert_text(waits_for(world, task_id), reason);
    if (!says(world, words, task_id)) {
        fail_msg("\"%s\" does not say \"%s\"", world.task(task_id).detail.c_str(), words.c_str());
    }
}

/// Seconds from now to the end of the hold, by the task's document; -1: no hold is under way.
std::int64_t hold_left_s(const fake_world &world)
{
    const auto ends_us = world.task("t").hold_ends_us;
    return ends_us == 0 ? -1 : (ends_us - world.time.wall_us() + 500000) / 1000000;
}

std::size_t writes(const fake_world &world)
{
    return static_cast<std::size_t>(
        std::ranges::count_if(world.story, [](const auto &line) { return line.starts_with("journal: "); }));
}

/// A deployment of a second revision that has come to its first hold.
void bring_to_hold(fake_world &world, const std::vector<rollout::shift_step> &steps)
{
    world.deployed("123");
    world.config.rollout.steps = steps;
    world.deploy("t", "123");
    world.time.run_until([&world] { return hold_left_s(world) != -1; });
    world.time.settle();
}

void a_hold_says_until_when_and_costs_one_write(void **)
{
    fake_world world;
    bring_to_hold(world, {{25, 60}, {100, 30}});
    assert_says(world, "time", "Revision 2 has 25 % of the traffic of model 123 until 16:1");
    assert_int_equal(hold_left_s(world), 60);
    const auto before = writes(world);
    world.time.run_for(50s);
    assert_int_equal(writes(world), before);
    assert_int_equal(hold_left_s(world), 10);
    assert_true(world.time.run_until([&world] { return world.task("t").traffic_weight == 100; }));
    world.time.run_for(10ms);
    assert_says(world, "time", "has 100 % of the traffic");
    assert_int_equal(hold_left_s(world), 30);
    assert_text(world.finish("t"), "completed");
    assert_text(waits_for(world), "");
    assert_int_equal(hold_left_s(world), -1);
}

void a_gated_hold_waits_for_time_and_then_for_requests(void **)
{
    fake_world world;
    world.config.rollout.gate.emplace().min_requests = 1000;
    world.config.rollout.gate->max_error_rate = 0.5;
    world.config.rollout.progress_deadline_s = 100;
    bring_to_hold(world, {{25, 10}, {100, 0}});
    assert_says(world, "time", "at the earliest");
    world.gateway.growth[2].requests = 1;
    world.time.run_for(11s);
    assert_says(world, "requests", "at least 0 of 1000 requests. It waits until");
    assert_says(world, "requests", "then fails (on_no_traffic)");
    const auto before = writes(world);
    world.time.run_for(80s); // a request a second
    assert_int_equal(writes(world), before);
    world.gateway.growth[2].requests = 100;
    world.time.run_for(1s);
    assert_says(world, "requests", "at least 100 of 1000 requests.");
    assert_text(world.finish("t"), "failed");
}

void a_step_without_a_hold_is_not_judged(void **)
{
    fake_world world;
    world.config.rollout.gate.emplace().min_requests = 1000;
    world.config.rollout.gate->max_error_rate = 0.01;
    world.config.rollout.progress_deadline_s = 100;
    bring_to_hold(world, {{20, 6}, {100, 0}});
    world.gateway.growth[2].requests = 1000;
    assert_text(world.finish("t"), "completed"); // and does not wait for requests at 100 %
    assert_text(world.server_holds(), "123__r2");
}

void a_step_for_previews_is_held_and_not_judged(void **)
{
    fake_world world;
    world.config.rollout.gate.emplace().min_requests = 1000;
    world.config.rollout.gate->max_error_rate = 0.5;
    world.config.rollout.progress_deadline_s = 100;
    bring_to_hold(world, {{0, 6}, {100, 20}});
    assert_says(world, "time", "Revision 2 has 0 % of the traffic");
    world.time.run_for(7s);
    assert_int_equal(world.task("t").traffic_weight, 100);
    assert_text(world.finish("t"), "failed"); // that one is judged, and nothing comes
}

void a_gate_that_fails_names_the_servers_that_failed_requests_of_this_hold(void **)
{
    fake_world world;
    world.config.rollout.gate.emplace().min_requests = 1000;
    world.config.rollout.gate->max_error_rate = 0.01;
    world.gateway.failed[2] = {{"a:1", 5}, {"b:1", 1}}; // of an earlier hold
    world.gateway.failed[1] = {{"c:1", 7}};             // blue's
    bring_to_hold(world, {{25, 60}, {100, 20}});
    world.gateway.growth[2].requests = world.gateway.growth[2].failures = 10;
    world.gateway.failed_growth[2] = {{"b:1", 9}, {"d:1", 1}};
    assert_text(world.finish("t"), "failed");
    const std::string detail = world.task("t").detail;
    const auto words = detail.find("; failures by server: b:1 ");
    assert_true(words != std::string::npos);
    assert_true(detail.find(", d:1 ", words) != std::string::npos);
    assert_true(detail.find("a:1") == std::string::npos && detail.find("c:1") == std::string::npos);
}

void a_gate_without_any_hold_is_warned_of(void **)
{
    fake_world world;
    world.config.rollout.gate.emplace().max_error_rate = 0.01;
    world.deployed("123");
    world.gateway.growth[2].requests = world.gateway.growth[2].failures = 100;
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    const auto plan = world.task("t").plan;
    assert_true(rollout::json_compact(json_object_get(plan.get(), "warnings")).find("The gate judges nothing") !=
                std::string::npos);
}

void a_person_is_waited_for_at_any_hold(void **)
{
    fake_world world;
    world.config.rollout.promote = "manual";
    bring_to_hold(world, {{25, 60}, {100, 0}});
    world.steer("t", task_verb::pause);
    assert_true(world.time.run_until([&world] { return world.answers.contains("pause"); }));
    assert_says(world, "person", "is paused and waits for POST /deploy/t/resume.");
    assert_int_equal(hold_left_s(world), 60);
    world.time.run_for(100s);
    const auto before = writes(world);
    world.time.run_for(1000s);
    assert_int_equal(writes(world), before);
    world.steer("t", task_verb::resume);
    assert_true(world.time.run_until([&world] { return world.task("t").traffic_weight == 100; }));
    world.time.run_for(10ms);
    assert_says(world, "person", "has 100 % of the traffic of model 123 and waits for POST /deploy/t/promote.");
    world.steer("t", task_verb::promote);
    assert_text(world.finish("t"), "completed");
    assert_text(waits_for(world), "");
}

void a_watch_says_what_stays_loaded(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.gate.emplace().max_error_rate = 0.5;
    world.config.rollout.watch_s = 90;
    world.deploy("t", "123");
    assert_true(world.time.run_until([&world] { return hold_left_s(world) != -1; }));
    assert_says(world, "time", "is watched until");
    assert_says(world, "time", "revision 1 stays loaded until then");
    assert_int_equal(hold_left_s(world), 90);
}

void a_server_that_takes_its_time_is_waited_for_by_name(void **)
{
    fake_world world;
    world.server.held.insert("load");
    world.deploy("t", "123");
    world.time.run_for(2s);
    assert_says(world, "server", "Waits for the inference server of backend default to load 123__r1, until ");
    const auto before = writes(world);
    world.time.run_for(60s);
    assert_int_equal(writes(world), before);
    world.server.mend("load");
    world.crash();
    assert_text(world.finish("t"), "completed");
}

void a_gateway_that_is_not_there_is_waited_for_and_so_is_one_that_does_not_follow(void **)
{
    fake_world world;
    world.gateway.follows = false;
    world.gateway.absent = true;
    world.deploy("t", "123");
    world.time.run_for(2s);
    assert_says(world, "gateway", "no gateway is connected");
    world.gateway.absent = false;
    world.time.run_for(2s);
    assert_says(world, "gateway", "1 of 1 gateway does not follow it yet");
    world.gateway.follows = true;
    world.process->gateways.take_over();
    assert_text(world.finish("t"), "completed");
}

void requests_in_flight_are_waited_for(void **)
{
    fake_world world;
    world.deployed("123");
    world.gateway.requests[1] = 5;
    world.config.rollout.drain_s = 20;
    world.deploy("t", "123");
    assert_true(world.time.run_until([&world] { return world.task("t").step == "retire"; }));
    world.time.run_for(2s);
    assert_says(world, "requests",
                "Revision 1 gets no more traffic and waits for requests in flight, at most 8, until ");
    world.gateway.requests[1] = std::nullopt;
    world.time.run_for(2s);
    assert_says(world, "gateway", "waits for a gateway to say what is in flight");
    assert_text(world.finish("t"), "completed");
}

void an_attempt_that_is_to_come_says_when(void **)
{
    fake_world world;
    world.config.limits.retries = 1000;
    world.server.fail("load 123__r1", rollout::outcome::transient("the server is starting"));
    world.deploy("t", "123");
    assert_true(world.time.run_until([&world] { return says(world, "is repeated at"); }));
    assert_says(world, "time", "Attempt 1 of step load failed and is repeated at 16:09:2");
    assert_int_equal(hold_left_s(world), -1);
}

void the_way_back_says_what_it_waits_for_and_why_it_is_taken(void **)
{
    fake_world world;
    bring_to_hold(world, {{25, 60}, {100, 0}});
    world.gateway.follows = false;
    world.steer("t", task_verb::cancel);
    world.time.run_for(2s);
    assert_says(world, "gateway",
                "The task was canceled by a client in step shift. The new route of model 123 waits");
    assert_int_equal(hold_left_s(world), -1);
    world.gateway.follows = true;
    world.process->gateways.take_over();
    assert_text(world.finish("t"), "canceled");
    assert_text(waits_for(world), "");
}

void the_next_task_of_a_model_says_what_the_one_at_work_waits_for(void **)
{
    fake_world world;
    bring_to_hold(world, {{25, 60}, {100, 0}});
    world.deploy("next", "123");
    world.deploy("last", "123");
    world.time.run_for(10ms);
    assert_says(world, "turn", "for task t of the same model, which waits for a time to pass; it is its turn next.",
                "next");
    assert_says(world, "turn", "behind task next of the same model", "last");
    world.steer("t", task_verb::pause);
    world.time.run_for(10ms);
    assert_says(world, "turn", "for task t of the same model, which waits for a person; it is its turn next.",
                "next");

    world.process->tasks.steer({rollout::task_kind::deploy, "next", task_verb::cancel, {}}, [](const auto &) {});
    world.time.run_for(10ms);
    assert_says(world, "turn", "for task t of the same model, which waits for a person; it is its turn next.",
                "last");
    assert_text(waits_for(world, "next"), "");
    world.steer("t", task_verb::resume);
    assert_text(world.finish("last"), "completed");
}

void a_task_that_the_bound_holds_up_says_so(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.server.held.insert("load");
    world.deploy("t", "a");
    world.deploy("u", "b");
    world.time.run_for(10ms);
    assert_says(world, "turn", "as many rollouts are at work as max_concurrent_rollouts allows", "u");
}

void tasks_held_by_a_bound_of_0_say_so_and_no_longer_than_it_is_0(void **)
{
    fake_world world;
    const auto set_bound = [&world](std::uint64_t bound) {
        auto config = std::make_shared<rollout::settings>(world.config);
        config->limits.max_concurrent_rollouts = bound;
        world.process->tasks.use(config, [&world](const std::string &) { return &world.process->server; });
        world.time.run_for(10ms);
    };
    world.server.held.insert("load");
    set_bound(0);
    world.deploy("t", "a");
    world.deploy("u", "b");
    world.time.run_for(10ms);
    assert_says(world, "turn", "max_concurrent_rollouts is 0, which holds all tasks", "u");
    set_bound(1);
    assert_int_equal(static_cast<int>(world.task("t").status), static_cast<int>(task_status::in_progress));
    assert_says(world, "turn", "as many rollouts are at work as max_concurrent_rollouts allows", "u");
}

void a_hold_goes_on_after_a_restart_and_is_said_anew(void **)
{
    fake_world world;
    bring_to_hold(world, {{25, 60}, {100, 0}});
    world.deploy("next", "123");
    world.time.run_for(10s);
    assert_int_equal(hold_left_s(world), 50);
    world.config.limits.max_concurrent_rollouts = 0; // which a hold needs nothing of
    world.crash();
    world.time.run_for(10ms);
    assert_says(world, "time", "Revision 2 has 25 % of the traffic of model 123 until");
    assert_int_equal(hold_left_s(world), 60); // it is held anew
    assert_says(world, "turn", "for task t of the same model, which waits for a time to pass", "next");
}

void what_was_waited_for_before_a_restart_is_not_said_after_it(void **)
{
    fake_world world;
    world.server.held.insert("load 123__r1");
    world.deploy("t", "123");
    world.deploy("next", "123");
    world.time.run_for(10s);
    assert_says(world, "server", "to load 123__r1");
    assert_says(world, "turn", "for task t of the same model, which waits for an inference server", "next");

    world.config.limits.max_concurrent_rollouts = 0;
    world.crash();
    world.time.run_for(10s);
    assert_says(world, "turn", "Step load of revision 1 waits for its turn");
    assert_int_equal(hold_left_s(world), -1);
    assert_says(world, "turn", "for task t of the same model, which waits for its turn", "next");
}

void who_gave_its_place_back_says_that_it_waits_for_one(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    bring_to_hold(world, {{25, 60}, {100, 0}});
    world.time.run_for(10s);
    world.server.held.insert("load b__r1");
    world.deploy("slow", "b");
    world.time.run_for(120s);
    assert_says(world, "turn", "Step retire of revision 2 waits for its turn");
    assert_int_equal(hold_left_s(world), -1);
    world.deploy("next", "123");
    world.time.run_for(10ms);
    assert_says(world, "turn", "for task t of the same model, which waits for its turn", "next");

    world.steer("slow", rollout::task_verb::cancel);
    assert_text(world.finish("t"), "completed");
    assert_text(rollout::wait_reason_name(world.task("t").waits_for), "");
}

void what_could_not_be_written_is_written_once_the_journal_works(void **)
{
    fake_world world;
    world.deployed("123");
    world.config.rollout.steps = {{25, 60}, {100, 0}};
    world.deploy("t", "123");
    assert_true(world.time.run_until([&world] { return world.has("followed") && world.task("t").step == "shift"; }));
    world.process->journal.failing_writes = 3;
    world.time.run_for(10s);
    assert_int_equal(world.process->journal.failing_writes, 0);
    assert_says(world, "time", "at the earliest");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_says_until_when_and_costs_one_write),
        cmocka_unit_test(a_gated_hold_waits_for_time_and_then_for_requests),
        cmocka_unit_test(a_step_without_a_hold_is_not_judged),
        cmocka_unit_test(a_step_for_previews_is_held_and_not_judged),
        cmocka_unit_test(a_gate_that_fails_names_the_servers_that_failed_requests_of_this_hold),
        cmocka_unit_test(a_gate_without_any_hold_is_warned_of),
        cmocka_unit_test(a_person_is_waited_for_at_any_hold),
        cmocka_unit_test(a_watch_says_what_stays_loaded),
        cmocka_unit_test(a_server_that_takes_its_time_is_waited_for_by_name),
        cmocka_unit_test(a_gateway_that_is_not_there_is_waited_for_and_so_is_one_that_does_not_follow),
        cmocka_unit_test(requests_in_flight_are_waited_for),
        cmocka_unit_test(an_attempt_that_is_to_come_says_when),
        cmocka_unit_test(the_way_back_says_what_it_waits_for_and_why_it_is_taken),
        cmocka_unit_test(the_next_task_of_a_model_says_what_the_one_at_work_waits_for),
        cmocka_unit_test(a_task_that_the_bound_holds_up_says_so),
        cmocka_unit_test(tasks_held_by_a_bound_of_0_say_so_and_no_longer_than_it_is_0),
        cmocka_unit_test(a_hold_goes_on_after_a_restart_and_is_said_anew),
        cmocka_unit_test(what_was_waited_for_before_a_restart_is_not_said_after_it),
        cmocka_unit_test(who_gave_its_place_back_says_that_it_waits_for_one),
        cmocka_unit_test(what_could_not_be_written_is_written_once_the_journal_works),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
