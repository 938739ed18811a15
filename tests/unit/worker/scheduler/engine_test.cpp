// The engine is stopped and started while clients go on: whenever that is, each task ends once, as if nothing had happened.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_gateways.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/fakes/fake_server.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/quiet.hpp"
#include "worker/scheduler/engine.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace std::chrono_literals;
using rollout::engine_state;
using rollout::outcome;
using rollout::task_kind;
using rollout::task_verb;

struct engine_and_clients {
    engine_and_clients()
    {
        config.artifacts.source = "file:///srv/models/{model_id}";
        config.backends["default"].upstream = "inference";
        config.backends["default"].check_s = 0;
        config.backends["default"].unload_retry_s = 0;
        journal.on_commit = [this](const rollout::journal_news &news) {
            for (const auto &changed : news.models) {
                gateways.follow(changed);
            }
            engine.on_commit(news);
            intake.on_commit(news);
        };
    }

    std::shared_ptr<const rollout::settings> settings() const
    {
        return std::shared_ptr<const rollout::settings>(std::shared_ptr<void>(), &config);
    }

    void start()
    {
        started.clear();
        engine.start([this](const outcome &how) { started = how ? "ok" : how.detail; });
    }

    /// Stops, and runs until it has.
    void stop()
    {
        bool stopped = false;
        engine.stop([&stopped] { stopped = true; });
        assert_true(time.run_until([&stopped] { return stopped; }));
        assert_true(engine.state() == engine_state::absent);
    }

    rollout::answer_fn noted_as(const std::string &name)
    {
        return [this, name](const rollout::request_answer &how) {
            answers[name] =
                how.task != nullptr ? "ok" : std::to_string(how.refused.status) + " " + how.refused.detail;
        };
    }

    void submit(const std::string &task_id, const std::string &model_id, task_kind kind = task_kind::deploy)
    {
        rollout::submission wanted;
        wanted.kind = kind;
        wanted.task_id = task_id;
        wanted.model_id = model_id;
        wanted.config = json_of(R"({"rollout": {"smoke": {"request": {"inputs": []}}}})");
        intake.submit(std::move(wanted), noted_as(task_id));
    }

    std::string steer(const std::string &task_id, task_verb verb)
    {
        answers.erase("verb");
        engine.steer({task_kind::deploy, task_id, verb, ""}, noted_as("verb"));
        time.settle();
        return answers["verb"];
    }

    std::string status(const std::string &task_id) const
    {
        const auto known = file.tasks.find(task_id);
        return known == file.tasks.end() ? "unknown" : std::string(rollout::status_name(known->second.status));
    }

    bool is_over(const std::string &task_id) const
    {
        return file.tasks.contains(task_id) && rollout::is_final(file.tasks.at(task_id).status);
    }

    std::string finish(const std::string &task_id)
    {
        time.run_until([&] { return is_over(task_id); });
        time.settle();
        return status(task_id);
    }

    std::string detail(const std::string &task_id) const
    {
        return rollout::task_of(file.tasks.at(task_id)).value().detail;
    }

    std::string violations() const
    {
        std::string lines;
        for (const auto &line : memory.violations) {
            lines += line + '\n';
        }
        return lines;
    }

    rollout::settings config;
    fake_clock time;
    std::vector<std::string> story;
    journal_file file;
    gateway_memory gateway;
    server_memory memory;
    fake_journal journal{file, time, story};
    fake_gateways gateways{gateway, time, story};
    fake_server server{memory, gateway, time, story};
    rollout::task_intake intake{settings(), journal, time};
    std::map<std::string, std::string> answers; ///< by task, or "verb"
    std::string started;
    rollout::engine engine{{intake, journal, gateways, time,
                            [this](const rollout::fetch_request &request, rollout::done_fn done) {
                                return server.fetch(request, std::move(done));
                            },
                            [this](const std::string &name, const rollout::hook_settings &, const std::string &body,
                                   rollout::done_fn done) { return server.hook(name, body, std::move(done)); }},
                           settings(),
                           [this](const std::string &name) { return name == "default" ? &server : nullptr; }};
};

void whenever_it_is_stopped_every_task_ends_as_if_it_had_not_been(void **)
{
    const quiet log;
    for (unsigned calls = 0;; ++calls) {
        engine_and_clients world;
        world.start();
        world.submit("t1", "123");
        world.finish("t1");
        world.submit("t2", "123");
        world.submit("t3", "123", task_kind::remove);
        unsigned done = 0;
        while (done < calls && !world.is_over("t3") && world.time.next()) {
            ++done;
        }
        const bool was_over = world.is_over("t3");
        world.stop();
        world.submit("t4", "123");
        world.submit("t5", "other");
        world.time.run_for(10s);
        assert_text(world.answers["t4"], "ok");
        assert_text(world.status("t5"), "pending");
        world.start();
        assert_text(world.finish("t3"), "completed");
        assert_text(world.finish("t4"), "completed");
        assert_text(world.finish("t5"), "completed");
        assert_text(world.status("t2"), "completed");
        assert_text(world.violations(), "");
        assert_true(world.memory.loaded == std::set<std::string>({"123__r3", "other__r1"}));
        assert_int_equal(world.intake.waiting(), 0);
        if (was_over) {
            assert_true(calls > 30);
            return;
        }
    }
}

void while_it_is_absent_posts_wait_and_say_for_what_and_verbs_are_refused(void **)
{
    const quiet log;
    engine_and_clients world;
    world.submit("t", "123");
    world.time.run_for(10s);
    assert_text(world.answers["t"], "ok");
    assert_text(world.detail("t"),
                "The task is accepted and waits for its turn: no rolloutd carries out tasks at the moment.");
    assert_int_equal(world.intake.waiting(), 1);
    assert_text(world.steer("t", task_verb::cancel),
                "503 No rolloutd carries out tasks at the moment, and nothing was changed; try again.");
    world.memory.held.insert("load 123__r1");
    world.start();
    assert_text(world.steer("t", task_verb::cancel), "503 rolloutd is about to go on with the tasks, and nothing was "
                                                     "changed; try again.");
    assert_text(world.started, "ok");
    assert_text(world.status("t"), "in_progress");
    assert_int_equal(world.intake.waiting(), 0);
    assert_text(world.steer("t", task_verb::cancel), "ok");
}

void a_verb_during_a_stop_is_refused_and_one_on_its_way_is_answered(void **)
{
    const quiet log;
    engine_and_clients world;
    world.start();
    world.memory.held.insert("load 123__r1");
    world.submit("t", "123");
    world.time.settle();
    world.engine.steer({task_kind::deploy, "t", task_verb::cancel, ""}, world.noted_as("verb"));
    bool stopped = false;
    world.engine.stop([&stopped] { stopped = true; });
    assert_false(stopped);
    world.engine.steer({task_kind::deploy, "t", task_verb::cancel, ""}, world.noted_as("late"));
    assert_text(world.answers["late"], "503 rolloutd is handing its tasks over, and nothing was changed; try again.");
    world.time.settle();
    assert_true(stopped);
    assert_text(world.answers["verb"], "503 rolloutd is stopping, and nothing was changed; try again.");
}

void a_start_during_a_stop_comes_after_it_unless_it_is_stopped_again(void **)
{
    const quiet log;
    engine_and_clients world;
    world.start();
    world.time.settle();
    world.submit("t", "123");
    world.engine.stop([] {});
    world.start();
    world.time.settle();
    assert_text(world.started, "ok");
    assert_text(world.finish("t"), "completed");
    world.memory.held.insert("load other__r1");
    world.submit("u", "other");
    world.time.settle();
    unsigned stopped = 0;
    world.engine.stop([&stopped] { ++stopped; });
    world.start();
    world.engine.stop([&stopped] { ++stopped; });
    world.time.settle();
    assert_text(world.started, "canceled");
    assert_int_equal(stopped, 2);
    assert_true(world.engine.state() == engine_state::absent);
    world.engine.stop([&stopped] { ++stopped; }); // there is nothing to stop
    assert_int_equal(stopped, 3);
}

void what_is_stopped_while_it_starts_is_absent_again(void **)
{
    const quiet log;
    for (unsigned calls = 0; calls < 8; ++calls) {
        engine_and_clients world;
        world.submit("t", "123");
        world.time.settle();
        world.start();
        for (unsigned i = 0; i < calls; ++i) {
            world.time.next();
        }
        world.stop();
        assert_true(world.started == "canceled" || world.started == "ok");
        world.start();
        assert_text(world.finish("t"), "completed");
        assert_text(world.violations(), "");
    }
}

void what_comes_while_it_starts_is_in_its_queue_once(void **)
{
    const quiet log;
    for (unsigned calls = 0; calls < 12; ++calls) {
        engine_and_clients world;
        world.config.limits.max_concurrent_rollouts = 0;
        for (const char *task_id : {"t1", "t2"}) {
            world.submit(task_id, "123");
        }
        world.time.settle();
        world.start();
        for (unsigned i = 0; i < calls; ++i) {
            world.time.next();
        }
        world.submit("t3", "123");
        world.time.settle();
        assert_text(world.answers["t3"], "ok");
        const auto tasks = world.engine.tasks_of("123", 10);
        assert_int_equal(tasks.size(), 3);
        assert_text(tasks[0], "t1");
        assert_text(tasks[2], "t3");
        assert_text(
            world.detail("t3"),
            "The task is accepted and waits behind task t2 of the same model, which waits for its turn itself.");
    }
}

void what_cannot_be_read_is_said_and_the_next_start_goes_on(void **)
{
    const quiet log;
    engine_and_clients world;
    world.submit("t", "123");
    world.time.settle();
    world.journal.failing_reads = 1;
    world.start();
    world.time.settle();
    assert_text(world.started, "the disk does not answer");
    assert_true(world.engine.state() == engine_state::absent);
    world.start();
    assert_text(world.finish("t"), "completed");
}

void a_loss_is_told_to_the_owner_who_starts_anew(void **)
{
    const quiet log;
    engine_and_clients world;
    unsigned losses = 0;
    world.engine.on_lost = [&] {
        ++losses;
        world.journal.lost = false;
        world.engine.stop([&world] { world.start(); });
    };
    world.start();
    world.submit("t", "123");
    world.time.run_until([&] { return world.status("t") == "in_progress"; });
    world.journal.lost = true;
    assert_text(world.finish("t"), "completed");
    assert_int_equal(losses, 1);
    assert_text(world.violations(), "");
}

void figures_and_lists_are_there_while_it_is_absent(void **)
{
    const quiet log;
    engine_and_clients world;
    world.start();
    world.submit("t", "123");
    world.finish("t");
    assert_int_equal(world.engine.now().deployed_models, 1);
    assert_int_equal(world.engine.models_on("default").size(), 1);
    world.stop();
    assert_int_equal(world.engine.now().deployed_models, 0);
    assert_true(world.engine.tasks_of("123", 10).empty());
    assert_true(world.engine.losses_of("123").empty());
    assert_true(world.engine.models_on("default").empty());
    world.engine.suspect("inference", "");
    world.engine.on_gateway_progress();
    world.engine.use(world.settings(), [](const std::string &) { return nullptr; });
    std::optional<bool> found;
    world.engine.find_series("t", [&found](const outcome &how, const std::optional<std::string> &document) {
        found = how && document.has_value();
    });
    world.time.settle();
    assert_true(found.value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(whenever_it_is_stopped_every_task_ends_as_if_it_had_not_been),
        cmocka_unit_test(while_it_is_absent_posts_wait_and_say_for_what_and_verbs_are_refused),
        cmocka_unit_test(a_verb_during_a_stop_is_refused_and_one_on_its_way_is_answered),
        cmocka_unit_test(a_start_during_a_stop_comes_after_it_unless_it_is_stopped_again),
        cmocka_unit_test(what_is_stopped_while_it_starts_is_absent_again),
        cmocka_unit_test(what_comes_while_it_starts_is_in_its_queue_once),
        cmocka_unit_test(what_cannot_be_read_is_said_and_the_next_start_goes_on),
        cmocka_unit_test(a_loss_is_told_to_the_owner_who_starts_anew),
        cmocka_unit_test(figures_and_lists_are_there_while_it_is_absent),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
