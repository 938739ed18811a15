#include "tests/unit/fakes/fake_world.hpp"
#include "tests/unit/worker/config/settings_text.hpp"
#include "worker/config/settings_diff.hpp"

namespace {

using namespace std::chrono_literals;

void what_takes_a_restart_stays_and_is_named(void **)
{
    const auto running = read_good(smallest);
    auto wanted =
        read_good(with(with(with(smallest, "/listen/path", R"("/run/other.sock")"), "/listen/mode", R"("0600")"),
                       "/journal/path", R"("/var/lib/other.db")"));
    const auto kept = rollout::keep_what_takes_a_restart(running, wanted);
    assert_int_equal(kept.size(), 3);
    assert_text(kept[0], "/listen/path");
    assert_text(kept[1], "/listen/mode");
    assert_text(kept[2], "/journal/path");
    assert_text(wanted.listen.path, "/run/rollout/rolloutd.sock");
    assert_int_equal(wanted.listen.mode, 0660);
    assert_text(wanted.journal.path, "/var/lib/rollout/journal.db");
    auto same = read_good(with(smallest, "/listen/mode", R"("0660")"));
    assert_true(rollout::keep_what_takes_a_restart(running, same).empty());
}

void what_changed_is_counted(void **)
{
    const auto before = read_good(with(smallest, "/models", R"({"a": {}, "b": {}, "c": {"protect": true}})"));
    assert_text(rollout::changes_between(before, before), "nothing");
    std::string text = with(smallest, "/models", R"({"a": {"protect": true}, "b": {"protect": true}, "d": {}})");
    text = with(text, "/backends/gpu", R"({"url": "http://gpu:8000", "repository": "/srv/gpu"})");
    text = with(with(text, "/journal/retain_days", "3"), "/limits/retries", "1");
    const auto after = read_good(text);
    assert_text(rollout::changes_between(before, after),
                "journal, limits, 1 backend added, 1 entry of models added, 2 entries of models changed, "
                "1 entry of models removed");
    assert_true(rollout::is_same_backend(before, after, "default"));
    assert_false(rollout::is_same_backend(before, after, "gpu"));
}

/// As main.cpp does it, with the one fake server.
void use(fake_world &world, rollout::settings config)
{
    world.process->tasks.use(std::make_shared<const rollout::settings>(std::move(config)),
                             [&world](const std::string &name) -> rollout::backend * {
                                 return name == "default" ? &world.process->server : nullptr;
                             });
}

void a_task_that_runs_keeps_the_settings_with_which_it_started(void **)
{
    fake_world world;
    world.deployed("a");
    world.deployed("b");
    world.gateway.requests[1] = 1;
    world.remove("t", "a");
    world.time.run_for(1s);
    auto config = world.config;
    config.rollout.drain_s = 300;
    use(world, std::move(config));
    world.remove("u", "b");
    world.time.run_for(40s);
    assert_text(world.status("t"), "completed"); // 30 s, the default
    assert_text(world.task("u").step, "drain");
    world.time.run_for(300s);
    assert_text(world.status("u"), "completed");
}

void limits_apply_at_once(void **)
{
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.deploy("t", "123");
    world.time.settle();
    assert_text(world.status("t"), "pending");
    auto config = world.config;
    config.limits.max_concurrent_rollouts = 1;
    use(world, std::move(config));
    assert_text(world.finish("t"), "completed");
    assert_int_equal(world.process->tasks.models_on("default").size(), 1);
    assert_true(world.process->tasks.models_on("gpu").empty());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_takes_a_restart_stays_and_is_named),
        cmocka_unit_test(what_changed_is_counted),
        cmocka_unit_test(a_task_that_runs_keeps_the_settings_with_which_it_started),
        cmocka_unit_test(limits_apply_at_once),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
