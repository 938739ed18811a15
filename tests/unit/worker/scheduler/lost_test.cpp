// A write is lost, since another rolloutd has the tasks: what runs here ends without another step or write, and whoever has
// the tasks goes on where the journal says.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/quiet.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::task_verb;

constexpr const char *with_smoke = R"({"rollout": {"smoke": {"request": {"inputs": []}}}})";

/// Loses everything that is written from now on. Returns how often the owner was told.
unsigned lose(fake_world &world)
{
    unsigned told = 0;
    world.process->tasks.on_lost = [&told] { ++told; };
    world.process->journal.lost = true;
    world.time.run_for(100s);
    world.process->tasks.on_lost = nullptr;
    return told;
}

/// Stops, and lets another one start; false where this one never says that it has stopped.
bool hand_over(fake_world &world)
{
    bool stopped = false;
    world.process->tasks.stop([&stopped] { stopped = true; });
    world.time.settle();
    if (stopped) {
        world.crash();
    }
    return stopped;
}

void a_write_that_is_lost_during_a_stop_changes_nothing_about_it(void **)
{
    const quiet log;
    fake_world world;
    world.deployed("123");
    unsigned told = 0;
    bool stopped = false;
    world.process->tasks.on_lost = [&told] { ++told; };
    world.process->tasks.stop([&stopped] { stopped = true; });
    world.process->tasks.lose();
    world.time.run_for(1s);
    assert_true(stopped);
    assert_int_equal(told, 0);
}

void whenever_a_write_is_lost_the_run_ends_and_another_goes_on(void **)
{
    const quiet log;
    for (unsigned calls = 0;; ++calls) {
        fake_world world;
        world.deployed("123");
        world.deploy("t", "123", with_smoke);
        unsigned done = 0;
        while (done < calls && !world.is_over("t") && world.time.next()) {
            ++done;
        }
        const bool was_accepted = world.answers.contains("t");
        const bool was_over = world.is_over("t");
        const auto revision = world.file.revision;
        const unsigned told = lose(world);
        assert_int_equal(told, was_over || !was_accepted ? told : 1);
        assert_true(told <= 1);
        assert_int_equal(world.file.revision, revision);
        assert_true(hand_over(world));
        if (!world.knows("t")) {
            assert_int_equal(world.answers.at("t").status, 503);
            world.deploy("t", "123", with_smoke);
        }
        assert_text(world.finish("t"), "completed");
        assert_text(world.server_holds(), "123__r2");
        assert_text(world.violations(), "");
        if (was_over) {
            assert_true(calls > 20);
            return;
        }
    }
}

void a_run_that_has_lost_a_write_takes_no_further_step(void **)
{
    const quiet log;
    fake_world world;
    world.deploy("t", "123", with_smoke);
    world.time.run_until([&] { return world.task("t").step == "stage"; });
    world.story.clear();
    assert_int_equal(lose(world), 1);
    for (const char *call : {"load 123__r1", "remove 123__r1", "unload 123__r1"}) {
        assert_false(world.has(call));
    }
    assert_int_equal(world.process->tasks.running(), 0);
    world.deploy("next", "other");
    world.time.run_for(10s);
    assert_false(world.has("check_vacant other__r1"));
}

void a_verb_that_is_lost_is_refused_with_the_reason(void **)
{
    const quiet log;
    fake_world world;
    world.server.held.insert("load 123__r1");
    world.deploy("runs", "123");
    world.deploy("waits", "123");
    world.time.settle();
    world.process->journal.lost = true;
    world.steer("waits", task_verb::cancel);
    world.time.settle();
    assert_int_equal(world.answers.at("cancel").status, 503);
    assert_text(world.answers.at("cancel").detail,
                "Another rolloutd has taken over the tasks, and nothing was changed; try again.");
    assert_int_equal(world.answers.at("cancel").retry_after_s, 1);
    assert_text(world.status("waits"), "pending");

    fake_world other;
    other.server.held.insert("load 123__r1");
    other.deploy("runs", "123");
    other.time.settle();
    other.process->journal.lost = true;
    other.steer("runs", task_verb::cancel);
    other.time.settle();
    assert_int_equal(other.answers.at("cancel").status, 503);
    assert_int_equal(other.process->tasks.running(), 0);
    assert_text(other.status("runs"), "in_progress");
}

void the_log_says_once_that_a_task_ends_here(void **)
{
    fake_world world;
    world.server.held.insert("load 123__r1");
    world.deploy("t", "123");
    world.time.settle();
    const std::string lines = logged([&world] {
        world.process->journal.lost = true;
        world.steer("t", task_verb::cancel);
        world.time.run_for(10s);
    });
    const std::string words = "The task ends here, as another rolloutd has it now: host b leads";
    assert_true(lines.find(words) != std::string::npos);
    assert_true(lines.find(words) == lines.rfind(words));
}

void the_log_says_once_how_a_task_came_out_whoever_ended_it(void **)
{
    const std::string words = "The task is ";
    bool was_over = false;
    for (unsigned calls = 0; !was_over; ++calls) {
        fake_world world;
        const std::string lines = logged([&] {
            world.deploy("t", "123");
            for (unsigned done = 0; done < calls && !world.is_over("t"); ++done) {
                world.time.next();
            }
            was_over = world.is_over("t");
            lose(world);
            assert_true(hand_over(world));
            if (world.knows("t")) {
                world.finish("t");
            }
        });
        if (world.knows("t")) {
            assert_true(lines.find(words) != std::string::npos);
            assert_true(lines.find(words) == lines.rfind(words));
        }
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_is_lost_during_a_stop_changes_nothing_about_it),
        cmocka_unit_test(whenever_a_write_is_lost_the_run_ends_and_another_goes_on),
        cmocka_unit_test(a_run_that_has_lost_a_write_takes_no_further_step),
        cmocka_unit_test(a_verb_that_is_lost_is_refused_with_the_reason),
        cmocka_unit_test(the_log_says_once_that_a_task_ends_here),
        cmocka_unit_test(the_log_says_once_how_a_task_came_out_whoever_ended_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
