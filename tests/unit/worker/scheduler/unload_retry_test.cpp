// What a task could not unload or remove, tried again behind it, between fakes.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"
#include "tests/unit/logged.hpp"

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

/// A world that tries again after a minute.
struct retrying_world : fake_world {
    retrying_world()
    {
        config.backends["default"].unload_retry_s = 60;
        config.limits.retries = 0;
        crash(); // what was started before the settings
    }

    /// Deploys the next revision of a model, whose old one cannot be unloaded or removed.
    void left_behind(const std::string &model_id, const std::string &call, const outcome &why,
                     std::string_view members = "{}")
    {
        deployed(model_id);
        server.fail(call, why);
        const std::string task_id = "leaves-" + model_id;
        deploy(task_id, model_id, members);
        finish(task_id);
        story.clear();
    }

    /// Deploys the next revision of a model, whose old one a gateway that is out of reach may still route to.
    void left_to_gateway(const std::string &model_id)
    {
        deployed(model_id);
        process->gateways.go_deaf();
        const std::string task_id = "leaves-" + model_id;
        deploy(task_id, model_id);
        finish(task_id);
        story.clear();
    }

    /// The gateway is back, or gone, and rolloutd hears of it.
    void gateway_is_back()
    {
        process->gateways.hear_again();
        process->tasks.on_gateway_progress();
        time.settle();
    }

    std::size_t pending() const { return process->tasks.pending_unloads().at("default"); }

    long count(const std::string &line) const { return std::count(story.begin(), story.end(), line); }

    std::set<std::uint64_t> kept(const std::string &model_id)
    {
        std::set<std::uint64_t> revisions;
        for (const auto &one : model(model_id).kept) {
            revisions.insert(one.revision);
        }
        return revisions;
    }
};

const outcome refused = outcome::permanent("the server refuses");

void what_a_deployment_could_not_take_off_goes_without_a_further_task(void **)
{
    for (const char *call : {"unload 123__r1", "remove 123__r1"}) {
        retrying_world world;
        world.left_behind("123", call, refused);
        assert_text(world.status("leaves-123"), "completed");
        assert_holds(world.task("leaves-123").detail,
                     "It is tried again later, at the latest with the model's next task.");
        assert_int_equal(world.pending(), 1);
        world.server.mend(call);
        world.time.run_for(44s);
        assert_text(world.told(), "");
        world.time.run_for(17s);
        assert_text(world.told(), "unload 123__r1\nremove 123__r1\n");
        assert_text(world.server_holds(), "123__r2");
        assert_int_equal(world.pending(), 0);
        assert_true(world.model("123").retired.empty()); // the journal knows
        assert_text(world.route("123"), "route of 123: 123__r2");
        world.time.run_for(10h);
        assert_int_equal(world.count("unload 123__r1"), 1);
        assert_text(world.violations(), "");
    }
}

void a_deletion_that_left_files_behind_is_brought_to_its_end(void **)
{
    retrying_world world;
    world.deployed("123");
    world.server.fail("remove 123__r1", refused);
    world.remove("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_int_equal(world.pending(), 1);
    world.server.mend("remove 123__r1");
    world.time.run_for(61s);
    assert_text(world.server_holds(), "");
    assert_int_equal(world.pending(), 0);
    // Nothing of the model is left, and its next number is a new one.
    world.remove("again", "123");
    assert_text(world.finish("again"), "refused");
    world.deploy("next", "123");
    assert_text(world.finish("next"), "completed");
    assert_text(world.server_holds(), "123__r2");
}

void a_green_that_a_way_back_could_not_take_off_goes(void **)
{
    retrying_world world;
    world.deployed("123");
    world.server.fail("ready 123__r2", outcome::permanent("no"));
    world.server.fail("unload 123__r2", refused);
    world.deploy("t", "123");
    assert_text(world.finish("t"), "failed");
    assert_text(world.server_holds(), "123__r1 123__r2");
    world.server.mend("unload 123__r2");
    world.time.run_for(61s);
    assert_text(world.server_holds(), "123__r1");
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_text(world.violations(), "");
}

void the_pauses_grow_to_an_hour(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    const auto begin = world.time.now();
    // 45 to 60 s, then 90 to 120 s, then 180 to 240 s.
    for (const auto &[until, tries] : {std::pair{44s, 0}, {61s, 1}, {134s, 1}, {181s, 2}, {314s, 2}, {421s, 3}}) {
        world.time.run_for(begin + until - world.time.now());
        assert_int_equal(world.count("unload 123__r1"), tries);
    }
    world.time.run_for(24h);
    const auto tries = world.count("unload 123__r1");
    assert_in_range(tries, 24, 42); // 45 to 60 minutes, the longest time
    world.time.run_for(1h + 1s);
    assert_in_range(world.count("unload 123__r1"), tries + 1, tries + 2);
}

void trouble_is_logged_once_for_each_cause_and_so_is_its_end(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    const auto lines_of = [&](const std::function<void()> &work) {
        const std::string text = logged(work);
        return std::pair(text, std::count(text.begin(), text.end(), '\n'));
    };
    auto [first, lines] = lines_of([&] { world.time.run_for(5h); });
    assert_int_equal(lines, 1);
    assert_holds(first, "\"level\":\"warning\"");
    assert_holds(first, "Revision 1 of model 123 could not be taken off backend default; it is tried again, with "
                        "pauses of up to an hour: the server refuses");
    world.server.mend("unload 123__r1");
    world.server.fail("unload 123__r1", outcome::permanent("another cause"));
    auto [second, more] = lines_of([&] { world.time.run_for(5h); });
    assert_int_equal(more, 1);
    assert_holds(second, "another cause");
    world.server.mend("unload 123__r1");
    auto [third, last] = lines_of([&] { world.time.run_for(5h); });
    assert_int_equal(last, 1);
    assert_holds(third, "\"level\":\"info\"");
    assert_holds(third, "Revision 1 of model 123 is off backend default now");
}

void what_is_to_be_archived_is_unloaded_and_its_files_are_kept(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused, R"({"rollout": {"old": "archive"}})");
    assert_int_equal(world.pending(), 1);
    world.server.mend("unload 123__r1");
    world.time.run_for(61s);
    assert_text(world.told(), "unload 123__r1\n");
    assert_text(world.server_holds(), "123__r2; files of 123__r1 123__r2");
    assert_true(world.kept("123") == std::set<std::uint64_t>{1});
    assert_int_equal(world.pending(), 0);
    world.steer("leaves-123", rollout::task_verb::rollback, "back");
    world.time.settle();
    assert_text(world.finish("back"), "completed");
    assert_text(world.route("123"), "route of 123: 123__r1");
}

void what_is_kept_and_what_is_watched_is_let_be(void **)
{
    for (const char *old : {"keep", "archive"}) {
        retrying_world world;
        world.deployed("123");
        world.deploy("t", "123", std::string(R"({"rollout": {"old": ")") + old + R"("}})");
        assert_text(world.finish("t"), "completed");
        const std::string holds = world.server_holds();
        world.time.run_for(10h);
        assert_int_equal(world.pending(), 0);
        assert_text(world.server_holds(), holds);
    }
    retrying_world world;
    world.deployed("123");
    world.deploy("t", "123", R"({"rollout": {"watch_s": 10000}})");
    world.time.run_for(9000s);
    assert_int_equal(world.pending(), 0);
    assert_text(world.server_holds(), "123__r1 123__r2");
}

void what_a_task_is_about_to_take_off_does_not_count(void **)
{
    for (const bool deletes : {false, true}) {
        retrying_world world;
        world.deployed("123");
        world.config.rollout.drain_s = 1000;
        world.gateway.requests[1] = 1;
        if (deletes) {
            world.remove("t", "123");
        } else {
            world.deploy("t", "123");
        }
        world.time.run_for(500s);
        assert_text(world.task("t").step, deletes ? "drain" : "retire");
        assert_int_equal(world.pending(), 0);
        assert_text(world.finish("t"), "completed");
        assert_int_equal(world.pending(), 0);
    }
}

void while_a_gateway_may_route_to_it_nothing_is_unloaded(void **)
{
    retrying_world world;
    world.deployed("123");
    world.config.rollout.steps = {{30, 1000}, {100, 0}};
    world.deploy("t", "123");
    world.time.run_until([&] { return world.gateway.routes_to("123__r2"); });
    world.gateway.follows = false;
    world.steer("t", rollout::task_verb::cancel);
    assert_text(world.finish("t"), "canceled");
    assert_true(world.gateway.routes_to("123__r2"));
    world.story.clear();
    const std::string log = logged([&] { world.time.run_for(5h); });
    assert_holds(log, "not every gateway follows the route of the model, so that one may still route to it");
    assert_text(world.told(), "");
    world.gateway.absent = true;
    assert_holds(logged([&] { world.time.run_for(2h); }), "no gateway is connected");
    assert_text(world.told(), "");
    world.gateway.absent = false;
    world.gateway.follows = true;
    world.process->gateways.take_over();
    world.time.run_for(1h);
    assert_text(world.server_holds(), "123__r1");
    assert_text(world.violations(), "");
}

void requests_in_flight_have_the_drain_time(void **)
{
    retrying_world world;
    world.config.rollout.drain_s = 100;
    world.left_to_gateway("123");
    world.gateway.requests[1] = 3;
    world.process->gateways.hear_again();
    world.time.run_for(61s);
    assert_text(world.told(), "");
    world.gateway.requests[1] = std::nullopt; // a gateway that does not say
    world.time.run_for(10s);
    assert_text(world.told(), "");
    world.time.run_for(100s);
    assert_text(world.server_holds(), "123__r2");
}

void what_only_a_gateway_kept_goes_as_soon_as_that_follows(void **)
{
    for (const bool dies : {false, true}) {
        for (const auto pause : {1s, 18000s}) {
            retrying_world world;
            world.left_to_gateway("123");
            assert_text(world.status("leaves-123"), "completed");
            assert_int_equal(world.pending(), 1);
            world.time.run_for(pause);
            if (dies) {
                world.crash();
                world.time.settle();
            }
            world.process->tasks.on_gateway_progress(); // of another one
            world.time.settle();
            assert_false(world.has("unload 123__r1"));
            world.gateway_is_back();
            assert_text(world.server_holds(), "123__r2");
            assert_int_equal(world.pending(), 0);
            assert_text(world.violations(), "");
        }
    }
}

void a_gateway_is_checked_again_once_there_is_a_place(void **)
{
    retrying_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.left_to_gateway("123");
    world.server.held.insert("load other__r1");
    world.deploy("t", "other");
    world.time.run_for(1s);
    world.gateway_is_back(); // the attempt waits for a place
    assert_false(world.has("unload 123__r1"));
    world.process->gateways.go_deaf();
    world.gateway.deaf_since = 0; // another one, with old routes
    world.steer("t", rollout::task_verb::cancel);
    world.time.run_for(1h);
    assert_false(world.has("unload 123__r1"));
    world.gateway_is_back();
    assert_text(world.server_holds(), "123__r2");
}

void what_is_drained_is_not_drained_again(void **)
{
    retrying_world world;
    world.config.rollout.drain_s = 100;
    world.left_behind("123", "unload 123__r1", refused);
    world.gateway.requests[1] = 3;
    world.server.mend("unload 123__r1");
    world.time.run_for(61s);
    assert_text(world.server_holds(), "123__r2");

    retrying_world other;
    other.config.rollout.drain_s = 1000;
    other.left_to_gateway("123");
    other.gateway.requests[1] = 3;
    other.server.held.insert("unload 123__r1");
    other.gateway_is_back();
    other.time.run_for(1001s);
    assert_true(other.has("unload 123__r1"));
    assert_true(other.model("123").retired.at(0).drained);
    other.server.held.clear();
    other.crash();
    other.time.run_for(61s);
    assert_text(other.server_holds(), "123__r2");
}

void a_backend_has_one_attempt_at_a_time_and_each_gets_its_turn(void **)
{
    retrying_world world;
    for (const char *model_id : {"a", "b", "c"}) {
        world.left_behind(model_id, std::string("unload ") + model_id + "__r1", refused);
        world.server.mend(std::string("unload ") + model_id + "__r1");
    }
    world.server.held.insert("unload a__r1");
    world.server.held.insert("unload b__r1");
    world.server.held.insert("unload c__r1");
    world.time.run_for(1h);
    assert_int_equal(world.count("unload a__r1") + world.count("unload b__r1") + world.count("unload c__r1"), 1);
    world.server.held.clear();
    world.crash(); // the held call goes with the process
    world.time.run_for(61s);
    assert_text(world.server_holds(), "a__r2 b__r2 c__r2");
    assert_int_equal(world.pending(), 0);
}

void a_backend_that_is_out_of_the_configuration_is_named_and_stays_counted(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    const auto backends = world.config.backends;
    world.config.backends = {{"other", backends.at("default")}};
    const auto as_it_is = std::make_shared<const rollout::settings>(world.config);
    world.process->tasks.use(as_it_is, [](const std::string &) { return nullptr; });
    assert_holds(
        logged([&] { world.time.run_for(61s); }),
        "rolloutd's configuration has no backend \\\"default\\\" any more, where 123__r1 stands; put it back");
    assert_int_equal(world.pending(), 1);
    assert_int_equal(world.process->tasks.pending_unloads().at("other"), 0);
    // The configuration that has it again is followed soon, whatever the pause was.
    world.time.run_for(10h);
    world.config.backends = backends;
    world.process->tasks.use(std::make_shared<const rollout::settings>(world.config),
                             [&](const std::string &) { return &world.process->server; });
    world.time.run_for(61s);
    assert_int_equal(world.pending(), 0);
    assert_text(world.server_holds(), "123__r2");
}

void it_takes_a_place_that_no_task_wants(void **)
{
    retrying_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.server.held.insert("load other__r1");
    world.deploy("t", "other");
    world.deploy("u", "third");
    world.time.run_for(1h);
    assert_false(world.has("unload 123__r1")); // the place is taken
    assert_int_equal(world.pending(), 1);
    world.steer("t", rollout::task_verb::cancel);
    assert_text(world.finish("u"), "completed");
    world.time.run_for(1s);
    assert_text(world.server_holds(), "123__r2 third__r1");
    assert_true(world.place("load third__r1") < world.place("unload 123__r1")); // the task that waited was first

    // And a task waits for the place that it has.
    world.left_behind("456", "unload 456__r1", refused);
    world.server.mend("unload 456__r1");
    world.server.held.insert("unload 456__r1");
    world.time.run_for(61s);
    assert_true(world.has("unload 456__r1"));
    assert_int_equal(world.process->tasks.working(), 0); // of the tasks, none
    world.deploy("v", "fifth");
    world.time.run_for(1s);
    assert_text(world.status("v"), "pending");
    assert_int_equal(static_cast<int>(world.task("v").waits_for), static_cast<int>(rollout::wait_reason::turn));
}

void with_no_places_nothing_is_tried(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.config.limits.max_concurrent_rollouts = 0;
    world.time.run_for(10h);
    assert_text(world.told(), "");
    assert_int_equal(world.pending(), 1);
    world.config.limits.max_concurrent_rollouts = 4;
    world.crash();
    world.time.run_for(61s);
    assert_text(world.server_holds(), "123__r2");
}

void with_0_it_is_left_to_the_next_task(void **)
{
    retrying_world world;
    world.config.backends["default"].unload_retry_s = 0;
    world.crash();
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.time.run_for(10h);
    assert_text(world.told(), "");
    assert_int_equal(world.pending(), 1);
    world.deploy("next", "123");
    assert_text(world.finish("next"), "completed");
    assert_text(world.server_holds(), "123__r3");
    assert_int_equal(world.pending(), 0);
}

void a_task_at_work_has_the_model_for_itself(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.config.rollout.steps = {{30, 10000}, {100, 0}};
    world.deploy("held", "123");
    world.time.run_for(9000s);
    assert_text(world.status("held"), "in_progress");
    assert_false(world.has("unload 123__r1"));
    assert_int_equal(world.pending(), 1);
    assert_text(world.finish("held"), "completed");
    assert_text(world.server_holds(), "123__r3");
    assert_int_equal(world.pending(), 0);
}

/// Of a removal, for one, which goes on until its answer is there.
void a_task_waits_until_what_is_under_way_has_ended(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.server.held.insert("unload 123__r1");
    world.time.run_for(1h);
    assert_int_equal(world.count("unload 123__r1"), 1);
    world.server.held.clear();
    world.remove("gone", "123");
    assert_text(world.finish("gone"), "completed");
    assert_text(world.server_holds(), "");
    assert_int_equal(world.pending(), 0);
    world.time.run_for(10h);
    assert_text(world.server_holds(), "");
    assert_text(world.violations(), "");
}

/// Up to that call of the clock after the first pause has begun to end.
void run_into_an_attempt(retrying_world &world, int calls)
{
    world.time.run_for(44s);
    for (int i = 0; i < calls; ++i) {
        world.time.next();
    }
}

void a_task_at_any_moment_of_an_attempt_finds_all_as_it_should_be(void **)
{
    for (const bool deletes : {false, true}) {
        for (int calls = 0; calls < 30; ++calls) {
            retrying_world world;
            world.left_behind("123", "unload 123__r1", refused);
            world.server.mend("unload 123__r1");
            run_into_an_attempt(world, calls);
            if (deletes) {
                world.remove("t", "123");
            } else {
                world.deploy("t", "123");
            }
            assert_text(world.finish("t"), "completed");
            assert_text(world.server_holds(), deletes ? "" : "123__r3");
            assert_int_equal(world.pending(), 0);
            assert_true(world.model("123").retired.empty());
            world.time.run_for(10h);
            assert_text(world.server_holds(), deletes ? "" : "123__r3");
            assert_text(world.violations(), "");
        }
    }
}

void a_crash_at_any_moment_of_an_attempt_leaves_it_to_the_next_start(void **)
{
    bool was_unloaded_before = false;
    bool was_removed_before = false;
    for (int calls = 0; calls < 30; ++calls) {
        retrying_world world;
        world.left_behind("123", "unload 123__r1", refused);
        world.server.mend("unload 123__r1");
        run_into_an_attempt(world, calls);
        const bool is_left = !world.model("123").retired.empty();
        was_unloaded_before = was_unloaded_before || (is_left && !world.server.loaded.contains("123__r1"));
        was_removed_before = was_removed_before || (is_left && !world.server.repository.contains("123__r1"));
        world.crash();
        world.time.run_for(61s);
        assert_text(world.server_holds(), "123__r2");
        assert_int_equal(world.pending(), 0);
        assert_true(world.model("123").retired.empty());
        assert_text(world.violations(), "");
    }
    assert_true(was_unloaded_before && was_removed_before);
}

void a_stop_at_any_moment_of_an_attempt_ends(void **)
{
    for (const bool held : {false, true}) {
        for (int calls = 0; calls < 30; ++calls) {
            retrying_world world;
            world.left_behind("123", "unload 123__r1", refused);
            world.server.mend("unload 123__r1");
            if (held) {
                world.server.held.insert("unload 123__r1");
            }
            run_into_an_attempt(world, held ? std::min(calls, 5) : calls);
            bool stopped = false;
            world.process->tasks.stop([&stopped] { stopped = true; });
            world.time.settle();
            assert_true(stopped);
            world.story.clear();
            world.time.run_for(10h);
            assert_text(world.told(), ""); // nothing is tried behind a stop
            world.server.held.clear();
            world.crash();
            world.time.run_for(61s);
            assert_text(world.server_holds(), "123__r2");
        }
    }
}

void a_write_that_fails_is_made_by_the_next_attempt(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.process->journal.failing_writes = 1;
    const std::string log = logged([&] { world.time.run_for(61s); });
    assert_holds(log, "could not be taken off backend default");
    assert_holds(log, "the disk is full");
    assert_text(world.server_holds(), "123__r2");
    assert_int_equal(world.pending(), 1);
    world.time.run_for(121s);
    assert_int_equal(world.pending(), 0);
    assert_true(world.model("123").retired.empty());
}

void a_task_waits_for_a_write_under_way(void **)
{
    retrying_world world;
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.process->journal.held = true;
    world.time.run_for(61s);
    assert_text(world.server_holds(), "123__r2");
    world.deploy("t", "123");
    world.time.run_for(1h);
    world.process->journal.release();
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "123__r3");
    assert_int_equal(world.count("unload 123__r1"), 1);
    assert_true(world.model("123").retired.empty());
}

/// Somebody has cleared the server by hand, and the name, which has no {revision} in it, serves again.
void what_has_the_retired_ones_name_is_not_taken_off_in_its_place(void **)
{
    for (const bool by_a_task : {true, false}) {
        retrying_world world;
        world.config.backends["default"].model_name = "{model_id}";
        world.config.backends["default"].unload_retry_s = by_a_task ? 0 : 60;
        world.crash();
        world.server.fail("ready 123", outcome::permanent("no"));
        world.server.fail("unload 123", refused);
        world.deploy("t", "123");
        assert_text(world.finish("t"), "failed");
        assert_int_equal(world.pending(), 1);
        world.server.loaded.clear();
        world.server.repository.clear();
        world.server.mend("ready 123");
        world.server.mend("unload 123");
        world.story.clear();
        world.deploy("next", "123");
        assert_text(world.finish("next"), "completed");
        world.time.run_for(10h);
        assert_int_equal(world.count("unload 123"), 1); // the retired one, before its name is made again
        assert_true(world.place("unload 123") < world.place("load 123"));
        assert_text(world.server_holds(), "123");
        assert_int_equal(world.pending(), 0);
        assert_text(world.violations(), "");
    }
}

void the_watch_over_lost_models_has_its_hands_off_it(void **)
{
    retrying_world world;
    world.config.backends["default"].check_s = 10;
    world.crash();
    world.left_behind("123", "unload 123__r1", refused);
    world.server.mend("unload 123__r1");
    world.server.loaded.clear();
    world.time.run_for(61s);
    assert_text(world.server_holds(), "123__r2");
    assert_int_equal(world.count("load 123__r2"), 1); // which serves
    assert_int_equal(world.count("load 123__r1"), 0);
    assert_int_equal(world.pending(), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_a_deployment_could_not_take_off_goes_without_a_further_task),
        cmocka_unit_test(a_deletion_that_left_files_behind_is_brought_to_its_end),
        cmocka_unit_test(a_green_that_a_way_back_could_not_take_off_goes),
        cmocka_unit_test(the_pauses_grow_to_an_hour),
        cmocka_unit_test(trouble_is_logged_once_for_each_cause_and_so_is_its_end),
        cmocka_unit_test(what_is_to_be_archived_is_unloaded_and_its_files_are_kept),
        cmocka_unit_test(what_is_kept_and_what_is_watched_is_let_be),
        cmocka_unit_test(what_a_task_is_about_to_take_off_does_not_count),
        cmocka_unit_test(while_a_gateway_may_route_to_it_nothing_is_unloaded),
        cmocka_unit_test(requests_in_flight_have_the_drain_time),
        cmocka_unit_test(what_only_a_gateway_kept_goes_as_soon_as_that_follows),
        cmocka_unit_test(a_gateway_is_checked_again_once_there_is_a_place),
        cmocka_unit_test(what_is_drained_is_not_drained_again),
        cmocka_unit_test(a_backend_has_one_attempt_at_a_time_and_each_gets_its_turn),
        cmocka_unit_test(a_backend_that_is_out_of_the_configuration_is_named_and_stays_counted),
        cmocka_unit_test(it_takes_a_place_that_no_task_wants),
        cmocka_unit_test(with_no_places_nothing_is_tried),
        cmocka_unit_test(with_0_it_is_left_to_the_next_task),
        cmocka_unit_test(a_task_at_work_has_the_model_for_itself),
        cmocka_unit_test(a_task_waits_until_what_is_under_way_has_ended),
        cmocka_unit_test(a_task_at_any_moment_of_an_attempt_finds_all_as_it_should_be),
        cmocka_unit_test(a_crash_at_any_moment_of_an_attempt_leaves_it_to_the_next_start),
        cmocka_unit_test(a_stop_at_any_moment_of_an_attempt_ends),
        cmocka_unit_test(a_write_that_fails_is_made_by_the_next_attempt),
        cmocka_unit_test(a_task_waits_for_a_write_under_way),
        cmocka_unit_test(what_has_the_retired_ones_name_is_not_taken_off_in_its_place),
        cmocka_unit_test(the_watch_over_lost_models_has_its_hands_off_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
