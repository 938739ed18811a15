#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"

namespace {

using rollout::outcome;

constexpr const char *smoke_once = R"({"rollout": {"smoke": {"request": {"inputs": []}}}, "param": "value"})";

/// A world in which each point has its hook.
struct hooked_world : fake_world {
    hooked_world()
    {
        for (const char *name :
             {"before_stage", "before_shift", "before_promote", "after_promote", "after_rollback"}) {
            config.rollout.hooks[name].push_back({"http://127.0.0.1:9/" + std::string(name), {}, 10});
        }
    }

    void assert_order(std::initializer_list<const char *> lines) const
    {
        std::size_t last = 0;
        for (const char *line : lines) {
            if (!has(line) || place(line) < last) {
                fail_msg("\"%s\" is missing or too early in:\n%s", line, told().c_str());
            }
            last = place(line);
        }
    }
};

void each_hook_is_called_at_its_point(void **)
{
    for (const char *members : {"{}", smoke_once}) {
        hooked_world world;
        world.deployed("123");
        world.deploy("t", "123", members);
        assert_text(world.finish("t"), "completed");
        world.assert_order({"hook before_stage", "stage 123__r2", "load 123__r2", "ready 123__r2",
                            "hook before_shift", "hook before_promote", "hook after_promote", "unload 123__r1"});
        assert_true(!world.has("infer 123__r2") || world.place("infer 123__r2") < world.place("hook before_shift"));
        assert_false(world.has("hook after_rollback"));
        assert_text(world.violations(), "");
    }
}

void a_hook_is_given_what_it_needs_to_judge(void **)
{
    hooked_world world;
    world.deploy("t", "123", R"({"param": "value"})");
    world.finish("t");
    assert_text(world.server.hook_bodies.front(),
                R"({"hook":"before_stage","task_id":"t","model_id":"123","revision":1,"kind":"deploy",)"
                R"("backend":"default","model":"123__r1","config":{"param":"value"}})");
}

void green_has_no_traffic_before_its_hook_has_agreed(void **)
{
    hooked_world world;
    world.deployed("123");
    world.server.held.insert("hook before_shift");
    world.deploy("t", "123");
    world.time.run_until([&] { return world.has("hook before_shift"); });
    world.time.settle();
    assert_text(world.route("123"), "route of 123: 123__r1");
    assert_text(world.task("t").step, "ready");
}

void blue_stays_blue_before_its_hook_has_agreed(void **)
{
    hooked_world world;
    world.deployed("123");
    world.server.held.insert("hook before_promote");
    world.deploy("t", "123");
    world.time.run_until([&] { return world.has("hook before_promote"); });
    world.time.settle();
    assert_int_equal(world.model("123").blue->revision, 1);
    assert_int_equal(world.model("123").weight, 100);
}

void a_refusal_before_a_step_fails_the_task_and_rolls_back(void **)
{
    const std::pair<const char *, const char *> hooks[] = {
        {"before_stage", "stage"}, {"before_shift", "ready"}, {"before_promote", "shift"}};
    for (const auto &[hook, step] : hooks) {
        hooked_world world;
        world.deployed("123");
        world.server.fail("hook " + std::string(hook), outcome::permanent("the hook refused: not on a Friday"));
        world.deploy("t", "123");
        assert_text(world.finish("t"), "failed");
        assert_text(world.task("t").detail, "Step " + std::string(step) +
                                                " failed: the hook refused: not on a Friday. Revision 1 serves as "
                                                "before.");
        assert_text(world.server_holds(), "123__r1");
        assert_text(world.route("123"), "route of 123: 123__r1");
        assert_true(world.has("hook after_rollback"));
        assert_false(world.has("hook after_promote"));
        assert_text(world.violations(), "");
    }
}

void a_hook_that_cannot_answer_now_is_asked_again(void **)
{
    hooked_world world;
    world.server.fail("hook before_stage", outcome::transient("no connection"), 2);
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_int_equal(world.task("t").find_step("stage")->attempts, 3);
}

void a_hook_that_is_asked_again_before_the_promotion_finds_the_weights_held(void **)
{
    hooked_world world;
    world.deployed("123");
    world.config.rollout.steps = {{50, 600}, {100, 600}};
    world.server.fail("hook before_promote", outcome::transient("no connection"), 3);
    const auto began = world.time.now();
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_int_equal(world.task("t").find_step("shift")->attempts, 4);
    assert_true(world.time.now() - began >= std::chrono::seconds(1200));
    assert_true(world.time.now() - began < std::chrono::seconds(1300));
}

void a_failure_after_a_step_is_noted_and_changes_nothing(void **)
{
    hooked_world world;
    world.deployed("123");
    world.server.fail("hook after_promote", outcome::permanent("the hook refused: I am late"));
    world.deploy("t", "123");
    assert_text(world.finish("t"), "completed");
    assert_text(world.task("t").find_step("retire")->detail, "the hook refused: I am late");
    assert_text(world.server_holds(), "123__r2");

    world.server.fail("hook after_rollback", outcome::transient("no connection"));
    world.server.fail("load", outcome::permanent("no memory"));
    world.deploy("u", "123");
    assert_text(world.finish("u"), "failed");
    assert_text(world.task("u").find_step("rollback")->detail, "no connection");
    assert_text(world.task("u").detail, "Step load failed: no memory. Revision 2 serves as before.");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_hook_is_called_at_its_point),
        cmocka_unit_test(a_hook_is_given_what_it_needs_to_judge),
        cmocka_unit_test(green_has_no_traffic_before_its_hook_has_agreed),
        cmocka_unit_test(blue_stays_blue_before_its_hook_has_agreed),
        cmocka_unit_test(a_refusal_before_a_step_fails_the_task_and_rolls_back),
        cmocka_unit_test(a_hook_that_cannot_answer_now_is_asked_again),
        cmocka_unit_test(a_hook_that_is_asked_again_before_the_promotion_finds_the_weights_held),
        cmocka_unit_test(a_failure_after_a_step_is_noted_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
