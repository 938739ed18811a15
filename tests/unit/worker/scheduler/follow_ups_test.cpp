// New tasks that a retry or a rollback of a task makes.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "worker/scheduler/follow_ups.hpp"

#include <string>

namespace {

using rollout::task_status;
using rollout::task_verb;

struct follow_ups_and_journal : scheduler_parts {
    follow_ups_and_journal()
    {
        config.artifacts.source = "file:///srv/models/{model_id}";
        config.backends["default"].upstream = "inference";
    }

    /// A deployment that is over, and brought revision 2.
    rollout::task over(task_status status = task_status::completed)
    {
        auto found = store("t", "m", status, R"({"param": "value"})");
        found.model_revision = 2;
        return found;
    }

    /// Revision 2 serves; revision 1 is kept.
    void serve_2_and_keep_1()
    {
        auto &entry = models.find_or_create("m");
        entry.last_revision = 2;
        entry.blue = revision(2);
        entry.kept = {revision(1)};
        entry.kept.front().left = 1;
    }

    static rollout::served_revision revision(std::uint64_t number)
    {
        rollout::served_revision placed;
        placed.revision = number;
        placed.backend = "default";
        return placed;
    }

    void ask(task_verb verb, const rollout::task &found, const std::string &new_task_id)
    {
        followers.make({found.kind, found.task_id, verb, new_task_id, {"10.1.0.8", "bob", ""}}, found, client());
    }

    /// The answer to a request that nothing else is asked beside.
    std::string follow_up(task_verb verb, const rollout::task &found, const std::string &new_task_id = "new")
    {
        ask(verb, found, new_task_id);
        time.settle();
        return answer();
    }

    rollout::settings config;
    rollout::model_registry models;
    bool is_busy = false;
    rollout::task_intake intake{std::shared_ptr<const rollout::settings>(std::shared_ptr<void>(), &config), journal,
                                time};
    rollout::follow_ups followers{intake, models, journal,
                                  [this](const std::string &model_id, const std::string &but) {
                                      assert_text(model_id, "m");
                                      assert_text(but, "t");
                                      return is_busy;
                                  }};
};

void a_retry_is_a_new_task_like_the_one_before_it(void **)
{
    follow_ups_and_journal world;
    assert_text(world.follow_up(task_verb::retry, world.over(task_status::failed)), "new new pending");
    const auto again = world.task("new");
    assert_text(again.model_id, "m");
    assert_text(again.parent_id, "t");
    assert_text(again.created_by.user, "bob"); // whoever asked for the retry
    assert_text(rollout::json_text(again.config.get(), "param"), "value");
    assert_int_equal(again.rollback_to, 0);
}

void a_retry_of_a_rollback_goes_back_to_the_same_revision(void **)
{
    follow_ups_and_journal world;
    auto found = world.over(task_status::failed);
    found.rollback_to = 1;
    found.config = shared_json_of(R"({"backend": "gone"})"); // which a rollback does not read
    assert_text(world.follow_up(task_verb::retry, found), "new new pending");
    assert_int_equal(world.task("new").rollback_to, 1);
}

void a_retry_that_the_configuration_does_not_fit_any_more_says_what_does_not(void **)
{
    follow_ups_and_journal world;
    auto found = world.over(task_status::failed);
    found.config = shared_json_of(R"({"backend": "gone"})");
    assert_text(world.follow_up(task_verb::retry, found),
                "409 rolloutd's configuration no longer fits the task: /config/backend must be the name of a "
                "backend of rolloutd's configuration: default; post a task with another config.");
}

void without_an_id_of_the_clients_each_request_makes_a_task(void **)
{
    follow_ups_and_journal world;
    const auto found = world.over(task_status::failed);
    assert_holds(world.follow_up(task_verb::retry, found, ""), "pending");
    assert_holds(world.follow_up(task_verb::retry, found, ""), "pending");
    assert_int_equal(world.file.tasks.size(), 3);
}

void the_same_request_again_finds_what_it_has_made(void **)
{
    follow_ups_and_journal world;
    world.serve_2_and_keep_1();
    const auto found = world.over();
    world.ask(task_verb::rollback, found, "new");
    assert_true(world.followers.is_being_made({found.kind, "t", task_verb::rollback, "new"}));
    assert_false(world.followers.is_being_made({found.kind, "t", task_verb::rollback, "other"}));
    world.time.settle();
    assert_false(world.followers.is_being_made({found.kind, "t", task_verb::rollback, "new"}));
    assert_text(world.answer(), "new new pending");
    world.models.find_or_create("m").kept.clear(); // and whatever has become of the model
    assert_text(world.follow_up(task_verb::rollback, found), "new pending");
    assert_int_equal(world.file.tasks.size(), 2);
}

void an_id_that_another_task_has_is_refused(void **)
{
    follow_ups_and_journal world;
    world.serve_2_and_keep_1();
    const auto found = world.over();
    assert_text(world.follow_up(task_verb::retry, found), "new new pending");
    assert_text(world.follow_up(task_verb::rollback, found),
                "409 There is another task with the id \"new\"; give an Idempotency-Key that was not used yet.");
    assert_text(world.follow_up(task_verb::retry, found, "t"),
                "409 There is another task with the id \"t\"; give an Idempotency-Key that was not used yet.");
}

void what_cannot_be_looked_for_is_not_made(void **)
{
    follow_ups_and_journal world;
    const auto found = world.over(task_status::failed);
    world.journal.failing_reads = 1;
    assert_text(
        world.follow_up(task_verb::retry, found),
        "500 It could not be read whether the new task exists already, and nothing was changed: the disk does "
        "not answer. Retry after fixing the cause.");
    assert_text(world.follow_up(task_verb::retry, found), "new new pending");
}

void a_rollback_goes_to_the_revision_that_served_before(void **)
{
    follow_ups_and_journal world;
    world.serve_2_and_keep_1();
    assert_text(world.follow_up(task_verb::rollback, world.over()), "new new pending");
    assert_int_equal(world.task("new").rollback_to, 1);
    assert_text(world.task("new").parent_id, "t");
}

void a_rollback_that_makes_no_sense_says_why(void **)
{
    follow_ups_and_journal world;
    auto found = world.over(task_status::failed);
    assert_text(world.follow_up(task_verb::rollback, found),
                "409 Task \"t\" is failed; only a completed deployment can be rolled back.");
    found.status = task_status::completed;
    assert_text(world.follow_up(task_verb::rollback, found),
                "409 Model m is not deployed; there is nothing to roll back.");
    world.serve_2_and_keep_1();
    found.model_revision = 1;
    assert_text(world.follow_up(task_verb::rollback, found),
                "409 Task \"t\" brought revision 1, but revision 2 of model m serves now; roll back the deployment "
                "that brought that one.");
    found.model_revision = 2;
    world.is_busy = true;
    assert_text(world.follow_up(task_verb::rollback, found),
                "409 Another task of model m is under way or waits; cancel it, or let it end first.");
    world.is_busy = false;
    world.models.find_or_create("m").kept.clear();
    assert_text(world.follow_up(task_verb::rollback, found),
                "409 No earlier revision of model m is kept, so there is none to go back to; a deployment with "
                "\"old\": \"archive\" or \"keep\" keeps the one before it.");
    assert_int_equal(world.queues.size(), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_is_a_new_task_like_the_one_before_it),
        cmocka_unit_test(a_retry_of_a_rollback_goes_back_to_the_same_revision),
        cmocka_unit_test(a_retry_that_the_configuration_does_not_fit_any_more_says_what_does_not),
        cmocka_unit_test(without_an_id_of_the_clients_each_request_makes_a_task),
        cmocka_unit_test(the_same_request_again_finds_what_it_has_made),
        cmocka_unit_test(an_id_that_another_task_has_is_refused),
        cmocka_unit_test(what_cannot_be_looked_for_is_not_made),
        cmocka_unit_test(a_rollback_goes_to_the_revision_that_served_before),
        cmocka_unit_test(a_rollback_that_makes_no_sense_says_why),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
