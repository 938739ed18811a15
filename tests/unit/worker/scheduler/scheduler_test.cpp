#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

std::size_t running(const fake_world &world)
{
    return world.process->tasks.running();
}

void one_task_a_model_runs_at_a_time_in_the_order_of_acceptance(void **)
{
    fake_world world;
    world.server.held.insert("load 123__r1");
    world.deploy("t1", "123");
    world.deploy("t2", "123");
    world.remove("t3", "123");
    world.deploy("t4", "123");
    world.time.settle();
    assert_text(world.status("t1"), "in_progress");
    for (const char *waiting : {"t2", "t3", "t4"}) {
        assert_text(world.status(waiting), "pending");
        assert_true(world.task(waiting).detail.starts_with("The task is accepted and waits "));
    }
    assert_int_equal(running(world), 1);
    assert_int_equal(world.process->tasks.waiting(), 3);

    world.server.mend("load 123__r1");
    world.crash(); // the held call goes with the process
    assert_text(world.finish("t4"), "completed");
    for (const char *before : {"t1", "t2", "t3"}) {
        assert_text(world.status(before), "completed");
    }
    assert_true(world.place("load 123__r2") < world.place("unload 123__r2"));
    assert_true(world.place("unload 123__r2") < world.place("load 123__r3"));
    assert_text(world.server_holds(), "123__r3");
}

void news_of_a_task_that_the_start_has_read_add_no_second_one(void **)
{
    fake_world world;
    world.server.held.insert("load 123__r1");
    world.deploy("t1", "123");
    world.deploy("t2", "123");
    world.time.settle();
    world.crash();
    world.time.settle();
    assert_int_equal(world.process->tasks.waiting(), 1);
    auto row = world.file.tasks.at("t2");
    row.revision = row.sequence; // as it was accepted
    world.process->tasks.on_commit({.rows = {row}, .before = row.sequence - 1, .now = row.sequence});
    assert_int_equal(world.process->tasks.waiting(), 1);
}

void different_models_run_side_by_side_up_to_the_bound(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 2;
    world.server.held.insert("load");
    for (const char *model_id : {"a", "b", "c", "d"}) {
        world.deploy(std::string("t") + model_id, model_id);
    }
    world.time.settle();
    assert_int_equal(running(world), 2);
    assert_text(world.status("ta"), "in_progress");
    assert_text(world.status("tb"), "in_progress");
    assert_text(world.status("tc"), "pending");

    world.server.mend("load");
    world.crash();
    assert_text(world.finish("td"), "completed");
    assert_text(world.finish("tc"), "completed");
    assert_text(world.server_holds(), "a__r1 b__r1 c__r1 d__r1");
}

void a_free_place_goes_to_the_task_that_has_waited_longest(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 1;
    for (const auto &[task_id, model_id] :
         {std::pair{"t1", "z"}, {"t2", "z"}, {"t3", "a"}, {"t4", "z"}, {"t5", "m"}}) {
        world.deploy(task_id, model_id);
    }
    assert_text(world.finish("t5"), "completed");
    std::string order;
    for (const auto &line : world.story) {
        if (line.starts_with("load ")) {
            order += line.substr(4);
        }
    }
    assert_text(order, " z__r1 z__r2 a__r1 z__r3 m__r1");
}

void with_no_place_at_all_tasks_are_accepted_and_held(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.deploy("t", "123");
    world.time.run_for(10h);
    assert_int_equal(world.answers["t"].status, 200);
    assert_text(world.status("t"), "pending");
    assert_int_equal(running(world), 0);

    world.config.limits.max_concurrent_rollouts = 1;
    world.crash();
    assert_text(world.finish("t"), "completed");
}

void a_full_queue_refuses_with_its_bound_and_when_to_come_back(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.config.limits.max_queue = 2;
    for (const char *task_id : {"t1", "t2", "t3"}) {
        world.deploy(task_id, "123");
    }
    world.time.settle();
    assert_int_equal(world.answers["t1"].status, 200);
    assert_int_equal(world.answers["t2"].status, 200);
    assert_int_equal(world.answers["t3"].status, 429);
    assert_true(world.answers["t3"].retry_after_s > 0);
    assert_text(world.answers["t3"].detail,
                "There are 2 tasks waiting, and max_queue allows no more; nothing was created. Try again later.");
    assert_false(world.knows("t3"));
}

void a_full_queue_still_answers_for_a_task_that_exists(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.config.limits.max_queue = 1;
    world.deploy("t1", "123");
    world.time.settle();
    world.deploy("t1", "123");
    world.time.settle();
    assert_int_equal(world.answers["t1"].status, 200);
    assert_false(world.answers["t1"].created);
    world.deploy("t1", "456");
    world.time.settle();
    assert_int_equal(world.answers["t1"].status, 409);
}

void room_in_the_queue_comes_back(void **)
{
    fake_world world;
    world.config.limits.max_queue = 1;
    for (int i = 0; i < 5; ++i) {
        const std::string task_id = "t" + std::to_string(i);
        world.deploy(task_id, "123");
        assert_text(world.finish(task_id), "completed");
        world.deploy(task_id, "123"); // existed
        world.deploy(task_id, "456"); // conflict
        world.time.settle();
    }
    assert_int_equal(world.process->tasks.waiting(), 0);
    assert_int_equal(running(world), 0);
}

void the_same_task_again_is_answered_and_runs_once(void **)
{
    fake_world world;
    world.deploy("t", "123");
    world.time.settle();
    assert_true(world.answers["t"].created);
    world.deploy("t", "123");
    world.time.settle();
    assert_int_equal(world.answers["t"].status, 200);
    assert_false(world.answers["t"].created);
    assert_text(world.server_holds(), "123__r1");
}

void another_task_with_a_known_id_is_a_conflict(void **)
{
    fake_world world;
    world.deploy("t", "123");
    world.time.settle();
    world.deploy("t", "123", R"({"other": 1})");
    world.time.settle();
    assert_int_equal(world.answers["t"].status, 409);
    assert_holds(world.answers["t"].detail, "There is another task with the id \"t\"");
}

void a_config_that_does_not_fit_creates_nothing_and_names_every_member(void **)
{
    fake_world world;
    world.deploy("t", "123", R"({"backend": "gpu", "rollout": {"old": "x"}})");
    world.time.settle();
    assert_int_equal(world.answers["t"].status, 422);
    assert_text(world.answers["t"].errors,
                "/config/backend: must be the name of a backend of rolloutd's configuration: default\n"
                "/config/rollout/old: must be one of \"delete\", \"archive\", \"keep\"\n");
    assert_holds(world.answers["t"].detail, "/config/backend");
    assert_false(world.knows("t"));
}

void a_deletion_takes_any_parameters(void **)
{
    fake_world world;
    world.deployed("123");
    world.submit(rollout::task_kind::remove, "t", "123", R"({"backend": 7, "rollout": "x", "param": "value"})");
    assert_text(world.finish("t"), "completed");
    assert_text(rollout::json_text(world.task("t").config.get(), "param"), "value");
}

void a_task_that_cannot_be_written_is_a_500_and_leaves_no_trace(void **)
{
    fake_world world;
    world.process->journal.failing_writes = 1;
    world.deploy("t", "123");
    world.time.settle();
    assert_int_equal(world.answers["t"].status, 500);
    assert_holds(world.answers["t"].detail, "The task could not be made durable: the disk is full");
    assert_int_equal(world.process->tasks.waiting(), 0);
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
}

void an_answer_waits_until_the_task_is_durable(void **)
{
    fake_world world;
    world.time.run_for(1s); // a start has its own story
    const auto before = world.story;
    world.process->journal.held = true;
    world.deploy("t", "123");
    world.time.run_for(1h);
    assert_false(world.answers.contains("t"));
    assert_true(world.story == before);
    world.process->journal.release();
    assert_text(world.finish("t"), "completed");
}

void one_model_too_many_is_refused_with_the_numbers(void **)
{
    fake_world world;
    world.config.limits.max_deployed_models = 2;
    world.deployed("a");
    world.deployed("b");
    world.deploy("t", "c");
    assert_text(world.finish("t"), "refused");
    assert_text(world.task("t").detail,
                "There are 2 models deployed and max_deployed_models is 2; delete one first.");
    assert_text(world.told(), "");

    world.deploy("u", "a"); // a next revision is no further model
    assert_text(world.finish("u"), "completed");
    world.remove("v", "b");
    assert_text(world.finish("v"), "completed");
    world.deploy("w", "c");
    assert_text(world.finish("w"), "completed");
}

void models_on_their_way_count_as_deployed(void **)
{
    fake_world world;
    world.config.limits.max_deployed_models = 2;
    world.server.held.insert("load");
    for (const char *model_id : {"a", "b", "c"}) {
        world.deploy(model_id, model_id);
    }
    world.time.settle();
    assert_text(world.status("a"), "in_progress");
    assert_text(world.status("b"), "in_progress");
    assert_text(world.status("c"), "refused");
}

void one_model_too_many_to_remember_is_refused_and_leaves_nothing(void **)
{
    fake_world world;
    world.config.limits.max_known_models = 2;
    world.server.fail("fetch a__r1", outcome::permanent("no such source"));
    world.deploy("t1", "a"); // leaves its number
    assert_text(world.finish("t1"), "failed");
    world.deployed("b");
    for (const bool again : {false, true}) {
        const std::string task_id = again ? "again" : "t2";
        world.deploy(task_id, "c");
        assert_text(world.finish(task_id), "refused");
        assert_holds(world.task(task_id).detail, "There are 2 models with a revision number to remember");
        assert_false(world.file.models.contains("c"));
        world.crash();
    }

    world.remove("t3", "b"); // and is known all the same
    assert_text(world.finish("t3"), "completed");
    world.deploy("t4", "c");
    assert_text(world.finish("t4"), "refused");
    world.deploy("t5", "a");
    assert_text(world.finish("t5"), "completed");
    world.crash();
    world.deploy("t6", "b");
    assert_text(world.finish("t6"), "completed");
    assert_text(world.server_holds(), "a__r2 b__r2");
    world.config.limits.max_known_models = 3;
    world.deploy("t7", "c");
    assert_text(world.finish("t7"), "completed");
}

void models_that_begin_at_once_count_each_once(void **)
{
    fake_world world;
    world.config.limits.max_known_models = 2;
    world.server.held.insert("fetch");
    for (const char *model_id : {"a", "b", "c"}) {
        world.deploy(model_id, model_id);
    }
    world.time.settle();
    assert_text(world.status("a"), "in_progress");
    assert_text(world.status("b"), "in_progress");
    assert_text(world.status("c"), "refused");
}

void a_name_without_a_revision_is_deployed_once(void **)
{
    fake_world world;
    world.config.backends["default"].model_name = "{model_id}";
    world.deployed("123");
    assert_text(world.server_holds(), "123");
    world.deploy("t", "123");
    assert_text(world.finish("t"), "refused");
    assert_holds(world.task("t").detail, "delete the model first");
    world.remove("u", "123");
    assert_text(world.finish("u"), "completed");
    world.deploy("v", "123");
    assert_text(world.finish("v"), "completed");
}

void a_refused_task_leaves_the_next_ones_their_turn(void **)
{
    fake_world world;
    world.remove("t1", "123");
    world.remove("t2", "123");
    world.deploy("t3", "123");
    assert_text(world.finish("t3"), "completed");
    assert_text(world.status("t1"), "refused");
    assert_text(world.status("t2"), "refused");
    assert_text(world.server_holds(), "123__r1");
}

void a_task_that_cannot_be_read_for_a_while_is_tried_again(void **)
{
    fake_world world;
    world.process->journal.failing_reads = 3;
    world.deploy("t", "123");
    world.time.run_for(2999ms);
    assert_text(world.status("t"), "pending");
    world.time.run_for(1ms);
    assert_text(world.finish("t"), "completed");
}

void a_row_that_is_damaged_ends_and_the_next_task_runs(void **)
{
    for (const auto kind : {rollout::task_kind::deploy, rollout::task_kind::remove}) {
        fake_world world;
        world.deployed("123");
        world.config.limits.max_concurrent_rollouts = 0;
        world.submit(kind, "t1", "123");
        world.deploy("t2", "123");
        world.time.settle();
        world.file.tasks["t1"].document = "{\"half";
        world.config.limits.max_concurrent_rollouts = 4;
        world.crash();
        assert_text(world.finish("t2"), "completed");
        assert_int_equal(world.process->tasks.waiting(), 0);
        assert_text(world.status("t1"), "failed");
        assert_holds(world.task("t1").detail, "The journal's entry of the task cannot be read");
        assert_text(world.task("t1").model_id, "123");
        assert_text(world.server_holds(), "123__r2");
        assert_text(world.violations(), "");
    }
}

void a_row_without_names_is_left_aside(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.deploy("t1", "123");
    world.deploy("t2", "123");
    world.time.settle();
    world.file.tasks["t1"].model_id = "../123";
    world.config.limits.max_concurrent_rollouts = 4;
    world.crash();
    assert_text(world.finish("t2"), "completed");
}

/// What becomes of the document of a task that has come to that step, before the next start.
void damage(fake_world &world, const std::string &how)
{
    auto &row = world.file.tasks["t"];
    auto what = rollout::task_of(row).value();
    if (how == "half") {
        row.document.resize(row.document.size() / 2);
        return;
    }
    if (how == "no steps") {
        what.steps.clear();
    } else if (how == "a step less") {
        what.steps.pop_back();
    } else if (how == "an unknown step") {
        what.step = "explode";
    } else if (how == "another revision") {
        what.model_revision = 77;
    } else if (how == "no model") {
        world.file.models.erase("123");
    }
    row.document = rollout::document_of(what);
}

/// Whatever the journal has of it, a task ends, and what serves goes on serving.
void a_task_that_cannot_go_on_takes_the_way_back(void **)
{
    constexpr std::pair<const char *, const char *> deployments[] = {
        {"fetch", "fetch 123__r2"},
        {"stage", "stage 123__r2"},
        {"load", "load 123__r2"},
        {"ready", "ready 123__r2"},
        {"shift", ""},
        {"retire", "unload 123__r1"},
    };
    for (const auto &[step, call] : deployments) {
        for (const char *how : {"half", "no steps", "a step less", "an unknown step", "another revision"}) {
            fake_world world;
            world.deployed("123");
            world.config.rollout.steps = {{30, 1000}, {100, 0}};
            if (*call != '\0') {
                world.server.held.insert(call);
            }
            world.deploy("t", "123",
                         step == std::string("retire") ? R"({"rollout": {"steps": [{"weight": 100}]}})" : "{}");
            world.time.run_for(10s);
            assert_text(world.task("t").step, step);
            damage(world, how);
            world.server.held.clear();
            world.crash();
            const std::string status = world.finish("t");
            if (status != "failed") {
                fail_msg("%s, %s: %s", step, how, status.c_str());
            }
            const bool is_promoted = step == std::string("retire");
            assert_text(world.route("123"), is_promoted ? "route of 123: 123__r2" : "route of 123: 123__r1");
            world.deploy("next", "123", R"({"rollout": {"steps": [{"weight": 100}]}})");
            assert_text(world.finish("next"), "completed");
            assert_text(world.server_holds(), "123__r3");
            assert_text(world.violations(), "");
        }
    }
}

void a_deletion_that_cannot_go_on_ends(void **)
{
    for (const char *call : {"unload 123__r1", "remove 123__r1"}) {
        for (const char *how : {"half", "no steps", "a step less", "an unknown step", "no model"}) {
            fake_world world;
            world.deployed("123");
            world.server.held.insert(call);
            world.remove("t", "123");
            world.time.run_for(10s);
            damage(world, how);
            world.server.held.clear();
            world.crash();
            const std::string status = world.finish("t");
            assert_true(status == "failed" || (status == "completed" && how == std::string("no model")));
            world.remove("next", "123");
            assert_true(world.finish("next") == "completed" || how == std::string("no model"));
            assert_text(world.violations(), "");
        }
    }
}

void a_task_whose_model_is_gone_from_the_journal_ends(void **)
{
    fake_world world;
    world.deployed("123");
    world.server.held.insert("ready 123__r2");
    world.deploy("t", "123");
    world.time.run_for(10s);
    damage(world, "no model");
    world.server.held.clear();
    world.crash();
    assert_text(world.finish("t"), "failed");
}

void a_configuration_that_lost_the_backend_fails_the_task_and_says_so(void **)
{
    fake_world world;
    world.server.held.insert("load");
    world.deploy("t", "123");
    world.deploy("u", "456");
    world.time.settle();
    world.config.backends.clear();
    world.config.backends["other"].model_name = "{model_id}__r{revision}";
    world.config.backends["another"];
    world.crash();
    assert_text(world.finish("t"), "failed");
    assert_holds(world.task("t").detail, "rolloutd's configuration no longer fits this task: /config/backend");
    assert_text(world.finish("u"), "failed");
}

void two_models_side_by_side_never_share_a_name_on_the_server(void **)
{
    fake_world world;
    world.config.backends["default"].model_name = "{config.plugin}_{model_id}";
    world.deploy("t", "c", R"({"plugin": "a_b"})");
    world.deploy("u", "b_c", R"({"plugin": "a"})");
    world.finish("t");
    world.finish("u");
    assert_int_equal((world.status("t") == "completed") + (world.status("u") == "completed"), 1);
    world.remove("v", "c");
    world.finish("v");
    assert_text(world.violations(), "");
}

constexpr std::string_view supersedes = R"({"rollout": {"supersede": true}})";

/// One deployment of the model is at work, and others of it wait.
void queue_up(fake_world &world)
{
    world.server.held.insert("load 123__r1");
    for (const char *task_id : {"t1", "t2", "t3"}) {
        world.deploy(task_id, "123");
    }
    world.deploy("other", "456");
    world.time.settle();
}

void a_deployment_that_supersedes_cancels_those_of_its_model_that_wait(void **)
{
    fake_world world;
    queue_up(world);
    world.deploy("t4", "123", supersedes);
    world.time.settle();
    for (const char *older : {"t2", "t3"}) {
        assert_text(world.status(older), "canceled");
        assert_text(world.task(older).detail,
                    "The task was canceled before it began, and nothing was changed: deployment task t4 of the "
                    "model came after it and supersedes it.");
    }
    assert_text(world.status("t1"), "in_progress");
    assert_text(world.status("t4"), "pending");
    assert_int_equal(world.process->tasks.waiting(), 1);

    world.server.mend("load 123__r1");
    world.crash();
    assert_text(world.finish("t4"), "completed");
    assert_text(world.status("t1"), "completed");
    assert_text(world.finish("other"), "completed");
    assert_text(world.server_holds(), "123__r2 456__r1");
}

void what_supersedes_is_the_models_own_setting_unless_the_task_has_one(void **)
{
    fake_world world;
    world.config.models["12*"].rollout.supersede = true;
    queue_up(world);
    assert_text(world.status("t2"), "canceled");
    assert_text(world.status("t3"), "pending");
    world.deploy("t4", "123", R"({"rollout": {"supersede": false}})");
    world.time.settle();
    assert_text(world.status("t3"), "pending");
    assert_text(world.status("t4"), "pending");
    assert_text(world.status("other"), "completed");
}

void a_deletion_is_not_superseded(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.deploy("t1", "123");
    world.remove("gone", "123");
    world.deploy("t2", "123", supersedes);
    world.time.settle();
    assert_text(world.status("t1"), "canceled");
    assert_text(world.status("gone"), "pending");
    assert_text(world.status("t2"), "pending");
    world.config.limits.max_concurrent_rollouts = 1;
    world.crash();
    assert_text(world.finish("t2"), "completed");
    assert_text(world.status("gone"), "refused"); // nothing was deployed yet
}

void a_crash_behind_a_deployment_that_supersedes_loses_nothing_of_that(void **)
{
    fake_world world;
    queue_up(world);
    world.deploy("t4", "123", supersedes);
    world.time.run_until([&] { return world.knows("t4"); });
    assert_text(world.status("t2"), "pending");
    world.server.mend("load 123__r1");
    world.crash();
    assert_text(world.finish("t4"), "completed");
    assert_text(world.status("t2"), "canceled");
    assert_text(world.status("t3"), "canceled");
}

void without_the_journal_a_superseded_task_waits_on(void **)
{
    fake_world world;
    queue_up(world);
    world.deploy("t4", "123", supersedes);
    world.time.run_until([&] { return world.knows("t4"); });
    world.process->journal.failing_writes = 1;
    world.time.settle();
    assert_text(world.status("t2"), "pending");
    assert_text(world.status("t3"), "canceled");
    assert_int_equal(world.process->tasks.waiting(), 2);
    world.steer("t2", rollout::task_verb::cancel);
    world.time.settle();
    assert_int_equal(world.answers["cancel"].status, 200);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(one_task_a_model_runs_at_a_time_in_the_order_of_acceptance),
        cmocka_unit_test(news_of_a_task_that_the_start_has_read_add_no_second_one),
        cmocka_unit_test(different_models_run_side_by_side_up_to_the_bound),
        cmocka_unit_test(a_free_place_goes_to_the_task_that_has_waited_longest),
        cmocka_unit_test(with_no_place_at_all_tasks_are_accepted_and_held),
        cmocka_unit_test(a_full_queue_refuses_with_its_bound_and_when_to_come_back),
        cmocka_unit_test(a_full_queue_still_answers_for_a_task_that_exists),
        cmocka_unit_test(room_in_the_queue_comes_back),
        cmocka_unit_test(the_same_task_again_is_answered_and_runs_once),
        cmocka_unit_test(another_task_with_a_known_id_is_a_conflict),
        cmocka_unit_test(a_config_that_does_not_fit_creates_nothing_and_names_every_member),
        cmocka_unit_test(a_deletion_takes_any_parameters),
        cmocka_unit_test(a_task_that_cannot_be_written_is_a_500_and_leaves_no_trace),
        cmocka_unit_test(an_answer_waits_until_the_task_is_durable),
        cmocka_unit_test(one_model_too_many_is_refused_with_the_numbers),
        cmocka_unit_test(models_on_their_way_count_as_deployed),
        cmocka_unit_test(one_model_too_many_to_remember_is_refused_and_leaves_nothing),
        cmocka_unit_test(models_that_begin_at_once_count_each_once),
        cmocka_unit_test(a_name_without_a_revision_is_deployed_once),
        cmocka_unit_test(a_refused_task_leaves_the_next_ones_their_turn),
        cmocka_unit_test(a_task_that_cannot_be_read_for_a_while_is_tried_again),
        cmocka_unit_test(a_row_that_is_damaged_ends_and_the_next_task_runs),
        cmocka_unit_test(a_row_without_names_is_left_aside),
        cmocka_unit_test(a_task_that_cannot_go_on_takes_the_way_back),
        cmocka_unit_test(a_deletion_that_cannot_go_on_ends),
        cmocka_unit_test(a_task_whose_model_is_gone_from_the_journal_ends),
        cmocka_unit_test(a_configuration_that_lost_the_backend_fails_the_task_and_says_so),
        cmocka_unit_test(two_models_side_by_side_never_share_a_name_on_the_server),
        cmocka_unit_test(a_deployment_that_supersedes_cancels_those_of_its_model_that_wait),
        cmocka_unit_test(what_supersedes_is_the_models_own_setting_unless_the_task_has_one),
        cmocka_unit_test(a_deletion_is_not_superseded),
        cmocka_unit_test(a_crash_behind_a_deployment_that_supersedes_loses_nothing_of_that),
        cmocka_unit_test(without_the_journal_a_superseded_task_waits_on),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
