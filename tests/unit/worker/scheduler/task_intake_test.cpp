// New tasks, on their way into the journal and the queues.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "worker/scheduler/task_intake.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

using rollout::task_kind;
using rollout::task_status;

/// An engine that runs no tasks, but has them in queues.
struct queueing_engine final : rollout::engine_view {
    explicit queueing_engine(rollout::task_queues &its_queues) : queues(its_queues) {}

    std::string running_deployment(const std::string &model_id) const override
    {
        return model_id == "in-use" ? deployment : "";
    }
    rollout::wait_state turn_of_new(const std::string &, const std::string &behind) const override
    {
        return {rollout::wait_reason::turn, 0, "Behind " + behind + "."};
    }
    std::string last_waiting(const std::string &model_id) const override { return queues.last(model_id); }
    std::size_t waiting() const override { return queues.size(); }

    rollout::task_queues &queues;
    std::string deployment = "d";
};

struct intake_and_journal : scheduler_parts {
    intake_and_journal()
    {
        config.artifacts.source = "file:///srv/models/{model_id}";
        config.backends["default"].upstream = "inference";
        intake.set_engine(&engine);
        journal.on_commit = [this](const rollout::journal_news &news) {
            for (const auto &row : news.rows) {
                if (rollout::is_new(row) && !rollout::is_final(row.status)) {
                    queues.push(row.model_id, intake.queued(row));
                    answers.push_back("accepted " + row.task_id);
                }
            }
            intake.on_commit(news);
        };
    }

    void submit(const std::string &task_id, const std::string &model_id, task_kind kind = task_kind::deploy,
                std::string_view members = "{}")
    {
        rollout::submission wanted;
        wanted.kind = kind;
        wanted.task_id = task_id;
        wanted.model_id = model_id;
        wanted.config = json_of(members);
        wanted.by = {"10.1.0.7", "ann", ""};
        intake.submit(std::move(wanted), client());
    }

    /// The answers, in their order.
    std::string all_answers()
    {
        std::string lines;
        for (const auto &line : std::exchange(answers, {})) {
            lines += line + '\n';
        }
        return lines;
    }

    rollout::settings config;
    queueing_engine engine{queues};
    rollout::task_intake intake{std::shared_ptr<const rollout::settings>(std::shared_ptr<void>(), &config), journal,
                                time};
};

void a_task_is_answered_once_it_is_durable_and_in_its_queue(void **)
{
    intake_and_journal world;
    world.journal.held = true;
    world.submit("t1", "m");
    world.time.settle();
    assert_text(world.all_answers(), "");
    assert_text(world.waiting("m"), "");
    assert_int_equal(world.intake.waiting(), 1); // it counts
    world.journal.release();
    world.time.settle();
    assert_text(world.all_answers(), "new t1 pending\naccepted t1\n");
    assert_text(world.waiting("m"), "t1");
    assert_int_equal(world.intake.waiting(), 1);
    world.submit("t2", "m");
    world.time.settle();
    assert_text(world.waiting("m"), "t1 t2");
    assert_text(world.task("t2").detail, "Behind t1.");
    assert_text(world.task("t2").created_by.user, "ann");
    assert_int_equal(static_cast<int>(world.task("t2").waits_for), static_cast<int>(rollout::wait_reason::turn));
}

void a_task_is_behind_one_that_is_still_on_its_way(void **)
{
    intake_and_journal world;
    world.submit("t1", "m");
    world.submit("t2", "m");
    world.submit("t3", "other");
    world.submit("t4", "in-use", task_kind::remove); // is refused, so nothing is behind it
    world.submit("t5", "in-use");
    world.submit("t6", "m");
    world.time.settle();
    assert_text(world.task("t1").detail, "Behind .");
    assert_text(world.task("t2").detail, "Behind t1.");
    assert_text(world.task("t3").detail, "Behind .");
    assert_text(world.task("t5").detail, "Behind .");
    assert_text(world.task("t6").detail, "Behind t2.");
    world.submit("t7", "m");
    world.submit("t8", "m");
    world.journal.failing_writes = 1;
    world.time.settle();
    world.submit("t9", "m");
    world.time.settle();
    assert_text(world.task("t9").detail, "Behind t8.");
    assert_text(world.waiting("m"), "t1 t2 t6 t8 t9");
}

void the_same_task_again_is_found_and_another_one_is_a_conflict(void **)
{
    intake_and_journal world;
    world.submit("t", "m");
    world.time.settle();
    world.all_answers();
    world.submit("t", "m");
    world.submit("t", "other");
    world.time.settle();
    assert_text(world.all_answers(),
                "t pending\n409 There is another task with the id \"t\"; give this one an id of its own.\n");
    assert_text(world.waiting("m"), "t");
    assert_int_equal(world.intake.waiting(), 1);
}

void a_full_queue_takes_nothing_but_finds_what_it_has(void **)
{
    intake_and_journal world;
    world.config.limits.max_queue = 1;
    world.submit("t1", "m");
    world.submit("t2", "m"); // while t1 is on its way
    world.submit("t1", "m");
    world.time.settle();
    assert_text(world.all_answers(),
                "new t1 pending\naccepted t1\n"
                "429 There are 1 tasks waiting, and max_queue allows no more; nothing was created. Try again later.\n"
                "t1 pending\n");
    assert_int_equal(world.intake.waiting(), 1);
    assert_false(world.file.tasks.contains("t2"));
}

void the_journals_disk_has_a_bound_of_its_own(void **)
{
    intake_and_journal world;
    world.config.limits.max_unwritten = 1;
    world.submit("t1", "m");
    world.submit("t2", "m");
    assert_text(world.all_answers(), "429 There are 1 tasks waiting for the journal's disk, and max_unwritten allows "
                                     "no more; nothing was created. Try again later.\n");
    world.time.settle();
    world.submit("t2", "m");
    world.time.settle();
    assert_text(world.waiting("m"), "t1 t2");
}

void what_cannot_be_written_is_in_no_queue(void **)
{
    intake_and_journal world;
    world.submit("t1", "m");
    world.journal.failing_writes = 1;
    world.time.settle();
    assert_text(world.all_answers(), "500 The task could not be made durable: the disk is full. Retry with the same "
                                     "task_id after fixing the cause.\n");
    assert_int_equal(world.intake.waiting(), 0);
    assert_text(world.waiting("m"), "");
}

void a_config_that_does_not_fit_is_a_problem_that_names_its_members(void **)
{
    intake_and_journal world;
    world.submit("t", "m", task_kind::deploy, R"({"backend": "gpu"})");
    world.time.settle();
    assert_text(world.answer(),
                "422 /config/backend must be the name of a backend of rolloutd's configuration: default.");
    assert_false(world.file.tasks.contains("t"));
    world.submit("t", "m", task_kind::remove, R"({"backend": "gpu"})");
    world.time.settle();
    assert_text(world.all_answers(), "new t pending\naccepted t\n");
}

void a_task_that_was_accepted_is_found_though_its_config_does_not_fit_any_more(void **)
{
    intake_and_journal world;
    world.config.backends["gpu"].upstream = "inference";
    world.submit("t", "m", task_kind::deploy, R"({"backend": "gpu"})");
    world.time.settle();
    world.all_answers();
    world.config.backends.erase("gpu");
    world.submit("t", "m", task_kind::deploy, R"({"backend": "gpu"})");
    world.submit("t", "other", task_kind::deploy, R"({"backend": "gpu"})");
    world.time.settle();
    assert_text(world.all_answers(),
                "t pending\n409 There is another task with the id \"t\"; give this one an id of its own.\n");
}

void a_deletion_of_a_model_that_is_being_deployed_is_refused_for_good(void **)
{
    intake_and_journal world;
    world.submit("t", "in-use", task_kind::remove);
    world.time.settle();
    assert_text(world.all_answers(), "new t refused\n");
    assert_text(world.task("t").detail,
                "Model in-use is in use by deployment task d, which is running; cancel it or wait for its end.");
    assert_text(world.waiting("in-use"), "");
    assert_int_equal(world.intake.waiting(), 0);
    world.submit("u", "in-use");
    world.time.settle();
    assert_text(world.all_answers(), "new u pending\naccepted u\n");
    world.engine.deployment.clear();
    world.submit("v", "in-use", task_kind::remove);
    world.time.settle();
    assert_text(world.all_answers(), "new v pending\naccepted v\n");
}

void whether_a_task_supersedes_is_its_own_setting_or_its_models(void **)
{
    for (const bool of_the_model : {false, true}) {
        intake_and_journal world;
        auto changed = world.config;
        changed.models["m"].rollout.supersede = of_the_model;
        world.intake.use(std::make_shared<const rollout::settings>(changed));
        world.submit("t1", "m", task_kind::deploy, R"({"rollout": {"supersede": true}})");
        world.submit("t2", "m");
        world.submit("t3", "m", task_kind::deploy, R"({"rollout": {"supersede": false}})");
        world.time.settle();
        assert_text(world.queues.superseded("m").newer, of_the_model ? "t2" : "t1");
    }
}

void what_the_journal_has_unfinished_goes_on_by_its_urgency(void **)
{
    intake_and_journal world;
    world.journal.on_commit = nullptr;
    world.store("begun", "m", task_status::in_progress);
    world.store("waits", "m");
    world.store("damaged", "m");
    world.file.tasks["damaged"].document = "{\"half";
    world.store("mixed", "m");
    world.file.tasks["mixed"].document = world.file.tasks.at("waits").document;
    for (const char *task_id : {"begun", "waits", "damaged", "mixed"}) {
        world.queues.push("m", world.intake.queued(world.file.tasks.at(task_id)));
    }
    assert_text(world.waiting("m"), "begun waits damaged mixed");
    const auto &queue = world.queues.of("m");
    assert_true(queue[0].is == rollout::urgency::begun);
    assert_true(queue[1].is == rollout::urgency::deployment);
    assert_true(queue[2].is == rollout::urgency::deployment);
    assert_int_equal(queue[2].sequence, world.file.tasks.at("damaged").sequence);
}

void without_an_engine_tasks_are_accepted_and_wait_for_one(void **)
{
    intake_and_journal world;
    world.intake.set_engine(nullptr);
    world.config.limits.max_queue = 3;
    world.store("begun", "m", task_status::in_progress);
    world.store("over", "m", task_status::completed);
    world.all_answers();
    world.submit("t1", "m");
    world.submit("t2", "in-use", task_kind::remove); // whether it is in use, nobody can say
    assert_int_equal(world.intake.waiting(), 3);
    world.submit("t3", "m");
    world.time.settle();
    assert_int_equal(world.intake.waiting(), 3);
    assert_text(
        world.all_answers(),
        "new t1 pending\naccepted t1\nnew t2 pending\naccepted t2\n"
        "429 There are 3 tasks waiting, and max_queue allows no more; nothing was created. Try again later.\n");
    assert_text(world.task("t1").detail,
                "The task is accepted and waits for its turn: no rolloutd carries out tasks at the moment.");
}

void of_a_task_that_was_accepted_here_the_document_is_not_read(void **)
{
    intake_and_journal world;
    rollout::urgency with_news{};
    rollout::urgency later{};
    world.journal.on_commit = [&](const rollout::journal_news &news) {
        auto row = news.rows.at(0);
        row.document = "{\"half";
        with_news = world.intake.queued(row).is;
        row.kind = task_kind::deploy;
        world.intake.on_commit(news);
        later = world.intake.queued(row).is;
    };
    world.submit("t", "m", task_kind::remove);
    world.time.settle();
    assert_true(with_news == rollout::urgency::deletion);
    assert_true(later == rollout::urgency::deployment);
}

/// As a journal does that others write, too: it tells of a write when it has followed it, and not with its answer.
struct intake_and_late_news : intake_and_journal {
    intake_and_late_news()
    {
        tell = std::exchange(journal.on_commit, [this](const rollout::journal_news &one) { news.push_back(one); });
    }

    void accept(const std::string &task_id)
    {
        submit(task_id, "m");
        time.settle();
    }

    std::function<void(const rollout::journal_news &)> tell;
    std::vector<rollout::journal_news> news; ///< not told yet
};

void a_task_is_on_its_way_until_its_news_have_come(void **)
{
    intake_and_late_news world;
    world.accept("t1");
    world.accept("t2");
    world.accept("t3");
    assert_text(world.all_answers(), "new t1 pending\nnew t2 pending\nnew t3 pending\n");
    assert_int_equal(world.intake.waiting(), 3);
    assert_text(world.task("t2").detail, "Behind t1.");
    assert_text(world.task("t3").detail, "Behind t2.");
    for (auto &one : world.news) {
        one.rows.at(0).document = "{\"half"; // is not read
        world.tell(one);
        assert_int_equal(world.intake.waiting(), 3);
    }
    assert_text(world.waiting("m"), "t1 t2 t3");
    assert_int_equal(world.queues.of("m").back().created_us, world.task("t3").created_us);
}

void an_answer_may_come_after_the_news(void **)
{
    intake_and_late_news world;
    world.tell({.before = 0, .now = 1000});
    world.accept("t1");
    assert_text(world.all_answers(), "new t1 pending\n");
    assert_int_equal(world.intake.waiting(), 0); // the engine has had the news
    world.accept("t2");
    assert_text(world.task("t2").detail, "Behind .");
}

void nothing_is_on_its_way_once_the_journal_is_read_anew(void **)
{
    intake_and_late_news world;
    world.accept("t1");
    assert_int_equal(world.intake.waiting(), 1);
    world.tell({.before = 0, .now = 0}); // of an earlier revision, which lacks the task
    assert_int_equal(world.intake.waiting(), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_answered_once_it_is_durable_and_in_its_queue),
        cmocka_unit_test(a_task_is_behind_one_that_is_still_on_its_way),
        cmocka_unit_test(the_same_task_again_is_found_and_another_one_is_a_conflict),
        cmocka_unit_test(a_full_queue_takes_nothing_but_finds_what_it_has),
        cmocka_unit_test(the_journals_disk_has_a_bound_of_its_own),
        cmocka_unit_test(what_cannot_be_written_is_in_no_queue),
        cmocka_unit_test(a_config_that_does_not_fit_is_a_problem_that_names_its_members),
        cmocka_unit_test(a_task_that_was_accepted_is_found_though_its_config_does_not_fit_any_more),
        cmocka_unit_test(a_deletion_of_a_model_that_is_being_deployed_is_refused_for_good),
        cmocka_unit_test(whether_a_task_supersedes_is_its_own_setting_or_its_models),
        cmocka_unit_test(what_the_journal_has_unfinished_goes_on_by_its_urgency),
        cmocka_unit_test(without_an_engine_tasks_are_accepted_and_wait_for_one),
        cmocka_unit_test(of_a_task_that_was_accepted_here_the_document_is_not_read),
        cmocka_unit_test(a_task_is_on_its_way_until_its_news_have_come),
        cmocka_unit_test(an_answer_may_come_after_the_news),
        cmocka_unit_test(nothing_is_on_its_way_once_the_journal_is_read_anew),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
