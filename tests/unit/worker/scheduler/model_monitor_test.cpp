// Models that their server has lost, by a restart or by somebody's unload, between fakes.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;
using kind = rollout::model_status::kind;

/// A world that looks every 10 s.
struct watched_world : fake_world {
    watched_world()
    {
        config.backends["default"].check_s = 10;
        crash(); // what was started before the settings
    }

    /// What `GET /models` says: "lost 1", "reloading 1 2", or nothing.
    std::string losses(const std::string &model_id) const
    {
        std::string all;
        for (const auto &one : process->tasks.losses_of(model_id)) {
            all += (all.empty() ? "" : ", ") +
                   std::string(one.reloading     ? "reloading "
                               : one.unreachable ? "unreachable "
                                                 : "lost ") +
                   std::to_string(one.revision);
        }
        return all;
    }

    std::string detail(const std::string &model_id) const { return process->tasks.losses_of(model_id).at(0).detail; }

    /// The server is restarted and has nothing in its memory.
    void lose_all() { server.loaded.clear(); }

    long count(const std::string &line) const { return std::count(story.begin(), story.end(), line); }

    std::string task_at_its_hold(const std::string &model_id)
    {
        deploy("held", model_id, R"({"rollout":{"steps":[{"weight":30,"hold_s":10000},{"weight":100}]}})");
        time.run_until([&] { return model(model_id).weight == 30; });
        time.settle();
        story.clear();
        return "held";
    }
};

void a_lost_model_is_loaded_again_and_ready_before_it_counts_as_there(void **)
{
    watched_world world;
    world.deployed("a");
    world.lose_all();
    world.server.fail("ready a__r1", outcome::transient("not yet"), 3);
    world.time.run_for(20s);
    assert_text(world.server_holds(), "a__r1");
    assert_text(world.losses("a"), "");
    assert_int_equal(world.count("load a__r1"), 1);
    assert_int_equal(world.count("ready a__r1"), 4);
    // The routes and the journal stay as they are.
    assert_text(world.told(true), world.told());
    assert_text(world.route("a"), "route of a: a__r1");
    assert_text(world.violations(), "");
}

void a_lost_model_is_shown_while_it_is_loaded(void **)
{
    watched_world world;
    world.deployed("a");
    world.deployed("b");
    world.server.held.insert("load a__r1");
    world.server.loaded.erase("a__r1");
    world.time.run_for(11s);
    assert_text(world.losses("a"), "reloading 1");
    assert_text(world.detail("a"),
                "a__r1 is not loaded on backend default any more (the server is empty) and is being loaded again.");
    assert_text(world.losses("b"), "");
}

void a_load_that_fails_is_repeated_with_growing_pauses(void **)
{
    watched_world world;
    world.deployed("a");
    world.lose_all();
    world.server.fail("load a__r1", outcome::permanent("no memory left"));
    world.time.run_for(11s);
    assert_text(world.losses("a"), "lost 1");
    assert_text(world.detail("a"), "a__r1 is not loaded on backend default any more (the server is empty); loading "
                                   "it again failed (no memory left) and is repeated.");
    world.time.run_for(3600s);
    const auto tries = world.count("load a__r1");
    assert_in_range(tries, 12, 20); // 10, 20, 40, … 300 s
    world.server.mend("load a__r1");
    world.time.run_for(310s);
    assert_text(world.losses("a"), "");
    assert_text(world.server_holds(), "a__r1");
}

void no_more_are_loaded_side_by_side_than_allowed(void **)
{
    watched_world world;
    world.config.backends["default"].max_reloads = 2;
    for (const char *model_id : {"a", "b", "c", "d", "e"}) {
        world.deployed(model_id);
    }
    world.lose_all();
    world.server.held.insert("load");
    world.time.run_for(100s);
    const auto loads = std::count_if(world.story.begin(), world.story.end(),
                                     [](const std::string &line) { return line.starts_with("load "); });
    assert_int_equal(loads, 2);
    assert_text(world.losses("e"), "lost 1");
    world.server.held.clear();
    world.crash(); // the held calls go with the process
    world.time.run_for(2s);
    assert_text(world.server_holds(), "a__r1 b__r1 c__r1 d__r1 e__r1");
}

void a_server_that_does_not_answer_has_lost_nothing(void **)
{
    watched_world world;
    world.deployed("a");
    world.time.run_for(11s);
    world.server.silent = true;
    world.lose_all();
    assert_true(world.process->tasks.backends_up().at("default"));
    world.time.run_for(1h);
    assert_text(world.losses("a"), "unreachable 1");
    assert_text(world.detail("a"),
                "Backend default does not answer, so that it is not known whether revision 1 serves.");
    assert_false(world.process->tasks.backends_up().at("default"));
    assert_int_equal(world.process->tasks.lost_models(), 0);
    assert_false(world.has("load a__r1"));
    world.server.silent = false;
    world.server.held.insert("load a__r1");
    world.time.run_for(11s);
    assert_true(world.process->tasks.backends_up().at("default"));
    assert_int_equal(world.process->tasks.lost_models(), 1);
    assert_text(world.losses("a"), "reloading 1");
    world.server.mend("load a__r1");
    world.crash();
    world.time.run_for(11s);
    assert_text(world.server_holds(), "a__r1");
    assert_int_equal(world.process->tasks.lost_models(), 0);
    assert_text(world.losses("a"), "");
}

void a_model_that_is_not_ready_for_a_moment_is_no_lost_one(void **)
{
    watched_world world;
    world.deployed("a");
    world.server.not_loaded = kind::not_ready;
    world.lose_all();
    world.time.run_until([&] { return world.has("survey a__r1"); });
    world.time.run_for(1s);
    assert_text(world.losses("a"), "");
    world.server.loaded.insert("a__r1");
    world.time.run_for(30s);
    assert_false(world.has("load a__r1"));
    // Twice in a row, it is.
    world.lose_all();
    world.time.run_for(21s);
    assert_int_equal(world.count("load a__r1"), 1);
}

void what_is_on_its_way_in_or_out_is_let_be(void **)
{
    watched_world world;
    world.deployed("a");
    world.server.not_loaded = kind::moving;
    world.lose_all();
    world.time.run_for(100s);
    assert_false(world.has("load a__r1"));
    assert_text(world.losses("a"), "");
}

void with_0_nothing_is_looked_at(void **)
{
    watched_world world;
    world.config.backends["default"].check_s = 0;
    world.crash();
    world.deployed("a");
    world.lose_all();
    world.time.run_for(1h);
    assert_false(world.has("survey a__r1"));
}

void both_revisions_of_a_running_rollout_are_loaded_again(void **)
{
    watched_world world;
    world.deployed("a");
    const auto task = world.task_at_its_hold("a");
    world.lose_all();
    world.time.run_for(11s);
    assert_text(world.server_holds(), "a__r1 a__r2");
    assert_text(world.status(task), "in_progress");
    assert_text(world.violations(), "");
}

void what_is_kept_loaded_is_loaded_again_and_what_is_archived_is_not(void **)
{
    watched_world world;
    world.deployed("a");
    for (const char *old : {"keep", "archive"}) {
        world.deploy(old, "a", std::string(R"({"rollout":{"old":")") + old + R"("}})");
        assert_text(world.finish(old), "completed");
    }
    assert_text(world.server_holds(), "a__r1 a__r3; files of a__r1 a__r2 a__r3");
    world.lose_all();
    world.time.run_for(11s);
    assert_text(world.server_holds(), "a__r1 a__r3; files of a__r1 a__r2 a__r3");
}

void the_old_revision_is_loaded_again_while_the_new_one_is_watched(void **)
{
    watched_world world;
    world.deployed("a");
    world.deploy("t", "a", R"({"rollout":{"watch_s":1000}})");
    world.time.run_until([&] { return world.model("a").former != 0; });
    world.time.settle();
    world.lose_all();
    world.time.run_for(11s);
    assert_text(world.server_holds(), "a__r1 a__r2");
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "a__r2");
    world.time.run_for(100s);
    assert_text(world.server_holds(), "a__r2");
}

void a_deletion_takes_a_model_out_of_the_watchs_hands(void **)
{
    watched_world world;
    world.deployed("a");
    world.lose_all();
    world.server.held.insert("load a__r1");
    world.time.run_for(11s);
    assert_text(world.losses("a"), "reloading 1");
    world.remove("gone", "a");
    assert_text(world.finish("gone"), "completed");
    assert_text(world.server_holds(), "");
    assert_text(world.losses("a"), "");
    assert_int_equal(world.count("load a__r1"), 1);
    world.server.held.clear();
    world.time.run_for(1h);
    assert_text(world.server_holds(), "");
    assert_text(world.violations(), "");
}

void a_deployment_replaces_a_lost_model(void **)
{
    watched_world world;
    world.deployed("a");
    world.lose_all();
    world.server.fail("load a__r1", outcome::permanent("no such file"));
    world.time.run_for(11s);
    assert_text(world.losses("a"), "lost 1");
    world.deploy("next", "a");
    assert_text(world.finish("next"), "completed");
    assert_text(world.losses("a"), "");
    assert_text(world.server_holds(), "a__r2");
    world.time.run_for(1h);
    assert_text(world.server_holds(), "a__r2");
}

void only_the_lost_part_is_loaded(void **)
{
    watched_world world;
    world.config.backends["default"].model_name = "{model_id}_{part}__r{revision}";
    world.deploy("t", "a",
                 R"({"parts":{"x":{"source":"file:///srv/models/x"},"y":{"source":"file:///srv/models/y"}}})");
    assert_text(world.finish("t"), "completed");
    assert_text(world.server_holds(), "a_x__r1 a_y__r1");
    world.story.clear();
    world.server.loaded.erase("a_y__r1");
    world.time.run_for(11s);
    assert_text(world.server_holds(), "a_x__r1 a_y__r1");
    assert_false(world.has("load a_x__r1"));
}

void a_stop_in_the_middle_of_a_load_ends_it_and_the_next_start_goes_on(void **)
{
    watched_world world;
    world.deployed("a");
    world.lose_all();
    world.server.held.insert("load a__r1");
    world.time.run_for(11s);
    bool stopped = false;
    world.process->tasks.stop([&] { stopped = true; });
    assert_false(stopped);
    world.time.settle();
    assert_true(stopped);
    world.server.held.clear();
    world.crash();
    world.time.run_for(1s);
    assert_text(world.server_holds(), "a__r1");
}

/// A task may come at any moment of a reload, and a crash in any moment of both.
void a_deletion_at_any_moment_of_a_reload_leaves_nothing(void **)
{
    for (int moment = 0; moment < 40; ++moment) {
        watched_world world;
        world.deployed("a");
        world.lose_all();
        world.time.run_until([&] { return world.has("survey a__r1"); });
        for (int i = 0; i < moment; ++i) {
            world.time.next();
        }
        world.remove("gone", "a");
        assert_text(world.finish("gone"), "completed");
        world.time.run_for(1h);
        assert_text(world.server_holds(), "");
        assert_text(world.violations(), "");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_model_is_loaded_again_and_ready_before_it_counts_as_there),
        cmocka_unit_test(a_lost_model_is_shown_while_it_is_loaded),
        cmocka_unit_test(a_load_that_fails_is_repeated_with_growing_pauses),
        cmocka_unit_test(no_more_are_loaded_side_by_side_than_allowed),
        cmocka_unit_test(a_server_that_does_not_answer_has_lost_nothing),
        cmocka_unit_test(a_model_that_is_not_ready_for_a_moment_is_no_lost_one),
        cmocka_unit_test(what_is_on_its_way_in_or_out_is_let_be),
        cmocka_unit_test(with_0_nothing_is_looked_at),
        cmocka_unit_test(both_revisions_of_a_running_rollout_are_loaded_again),
        cmocka_unit_test(what_is_kept_loaded_is_loaded_again_and_what_is_archived_is_not),
        cmocka_unit_test(the_old_revision_is_loaded_again_while_the_new_one_is_watched),
        cmocka_unit_test(a_deletion_takes_a_model_out_of_the_watchs_hands),
        cmocka_unit_test(a_deployment_replaces_a_lost_model),
        cmocka_unit_test(only_the_lost_part_is_loaded),
        cmocka_unit_test(a_stop_in_the_middle_of_a_load_ends_it_and_the_next_start_goes_on),
        cmocka_unit_test(a_deletion_at_any_moment_of_a_reload_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
