// What a task shows of its plan, and when; what the plan holds is in plan_test.cpp and task_document_test.cpp.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_run.hpp"
#include "worker/rollout/task_plan.hpp"

namespace {

rollout::served_revision revision_on(const std::string &backend, std::uint64_t number)
{
    rollout::served_revision placed;
    placed.revision = number;
    placed.backend = backend;
    placed.copies.push_back({"123__r" + std::to_string(number), {""}, nullptr});
    return placed;
}

/// The upstreams of the servers that the task shows.
std::string servers_of(const rollout::task &task)
{
    std::string all;
    size_t index = 0;
    json_t *server = nullptr;
    json_array_foreach(json_object_get(task.plan.get(), "servers"), index, server)
    {
        all += (all.empty() ? "" : " ") + std::string(json_string_value(json_object_get(server, "upstream")));
    }
    return all;
}

/// A model whose blue, on another backend, has traffic that a gate will judge.
struct gated : fake_run {
    gated()
    {
        config.backends["other"].upstream = "others";
        config.rollout.steps = {{5, 60}, {100, 60}};
        config.rollout.gate.emplace().max_error_rate = 0.1;
        model.blue = revision_on("other", 1);
        gateway.last_minute = 600;
    }
};

void a_deployment_works_on_the_backend_that_it_brings_its_revision_to(void **)
{
    gated world;
    rollout::task_plan plan(*world.run);
    assert_text(plan.make(), "");
    plan.show();
    assert_text(servers_of(world.run->task), "inference");
    assert_true(world.story.empty()); // it goes with the next write
}

void going_back_works_where_the_kept_revision_stands(void **)
{
    gated world;
    world.model.kept.push_back(revision_on("other", 1));
    world.run->task.rollback_to = 1;
    rollout::task_plan plan(*world.run);
    plan.make();
    plan.show();
    assert_text(servers_of(world.run->task), "others");
}

void a_deletion_works_wherever_something_of_the_model_stands(void **)
{
    gated world;
    world.model.retired.push_back(revision_on("default", 2));
    world.run->task.kind = rollout::task_kind::remove;
    rollout::task_plan plan(*world.run);
    assert_text(plan.make(), "");
    plan.show();
    assert_text(servers_of(world.run->task), "inference others");
}

void a_configuration_that_does_not_fit_any_more_is_said(void **)
{
    fake_run world(R"({"backend": "gone"})");
    rollout::task_plan plan(*world.run);
    assert_holds(plan.make(), "rolloutd's configuration no longer fits this task: /config/backend ");
}

void what_the_gateways_say_of_the_traffic_is_shown_and_written_when_it_is_there(void **)
{
    gated world;
    rollout::task_plan plan(*world.run);
    plan.make();
    plan.show();
    const auto before = rollout::json_compact(world.run->task.plan.get());
    plan.ask_for_traffic();
    assert_text(rollout::json_compact(world.run->task.plan.get()), before);
    world.time.settle();
    const auto after = rollout::json_compact(world.run->task.plan.get());
    assert_true(after != before);
    assert_text(rollout::json_compact(world.in_journal().plan.get()), after);
}

void an_answer_after_the_end_changes_nothing(void **)
{
    gated world;
    rollout::task_plan plan(*world.run);
    plan.make();
    plan.ask_for_traffic();
    plan.stop();
    world.time.settle();
    assert_null(world.run->task.plan.get());
    assert_true(world.story.empty());
}

void nobody_is_asked_if_no_hold_is_judged(void **)
{
    const struct {
        void (*change)(gated &);
    } cases[] = {
        {[](gated &world) { world.config.rollout.gate.reset(); }},
        {[](gated &world) { world.model.blue.reset(); }},
        {[](gated &world) { world.run->task.rollback_to = 1; }},
        {[](gated &world) { world.run->task.kind = rollout::task_kind::remove; }},
    };
    for (const auto &one : cases) {
        gated world;
        one.change(world);
        rollout::task_plan plan(*world.run);
        plan.make();
        plan.ask_for_traffic();
        world.time.settle();
        assert_true(world.story.empty());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_deployment_works_on_the_backend_that_it_brings_its_revision_to),
        cmocka_unit_test(going_back_works_where_the_kept_revision_stands),
        cmocka_unit_test(a_deletion_works_wherever_something_of_the_model_stands),
        cmocka_unit_test(a_configuration_that_does_not_fit_any_more_is_said),
        cmocka_unit_test(what_the_gateways_say_of_the_traffic_is_shown_and_written_when_it_is_there),
        cmocka_unit_test(an_answer_after_the_end_changes_nothing),
        cmocka_unit_test(nobody_is_asked_if_no_hold_is_judged),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
