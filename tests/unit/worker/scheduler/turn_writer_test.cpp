// What the documents of waiting tasks say, as their queue changes.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "worker/scheduler/turn_writer.hpp"

#include <string>

namespace {

using namespace std::chrono_literals;

struct writer_and_queues : scheduler_parts {
    writer_and_queues()
    {
        queues.on_moved = [this](const rollout::task_name &which) { writer.update(which); };
    }

    rollout::wait_state words_of(const std::string &before, bool was_begun) const
    {
        return {rollout::wait_reason::turn, 0,
                (was_begun ? "To go on: " : "To begin: ") +
                    (before.empty() ? first_words : "behind " + before + ".")};
    }

    /// Writes a task to the journal that says what it waits for, and puts it in its queue.
    void accept(const std::string &task_id)
    {
        auto waits = queue(task_id, "m");
        const auto words = words_of(queues.before({"m", task_id}), false);
        waits.set_waiting(words);
        waits.detail = words.sentence;
        journal.save(waits, nullptr, [](const auto &, auto) {});
        time.settle();
        story.clear();
    }

    std::string detail(const std::string &task_id) const { return task(task_id).detail; }

    std::size_t writes() const { return story.size(); }

    std::string first_words = "the first.";
    rollout::turn_writer writer{queues, journal, time,
                                [this](const std::string &, const std::string &before, bool was_begun) {
                                    return words_of(before, was_begun);
                                }};
};

void a_task_that_moves_up_says_so(void **)
{
    writer_and_queues world;
    for (const char *task_id : {"a", "b", "c"}) {
        world.accept(task_id);
    }
    assert_text(world.detail("c"), "To begin: behind b.");
    world.queues.take({"m", "b"});
    world.time.settle();
    assert_text(world.detail("c"), "To begin: behind a.");
    assert_int_equal(static_cast<int>(world.task("c").waits_for), static_cast<int>(rollout::wait_reason::turn));
    world.queues.pop("m");
    world.time.settle();
    assert_text(world.detail("c"), "To begin: the first.");
    assert_int_equal(world.writes(), 2);
}

void the_first_of_a_queue_says_what_is_in_its_way(void **)
{
    writer_and_queues world;
    world.accept("a");
    world.accept("b");
    world.first_words = "no place.";
    world.writer.update_first("m");
    world.writer.update_first("unknown");
    world.time.settle();
    assert_text(world.detail("a"), "To begin: no place.");
    assert_text(world.detail("b"), "To begin: behind a.");
    world.writer.update_first("m"); // nothing has changed
    world.time.settle();
    assert_int_equal(world.writes(), 1);
}

void a_task_that_has_begun_meanwhile_is_let_be(void **)
{
    for (const bool is_read : {false, true}) {
        writer_and_queues world;
        world.accept("a");
        world.first_words = "no place.";
        world.writer.update_first("m");
        if (is_read) {
            world.time.next(); // its document is on its way
            assert_int_equal(world.journal.finds, 1);
        }
        world.queues.pop("m");
        world.time.settle();
        assert_int_equal(world.writes(), 0);
        assert_int_equal(world.journal.finds, is_read ? 1 : 0);
    }
}

void a_task_that_is_over_is_let_be(void **)
{
    writer_and_queues world;
    auto waits = world.queue("a", "m");
    waits.status = rollout::task_status::canceled;
    world.journal.save(waits, nullptr, [](const auto &, auto) {});
    world.writer.update_first("m");
    world.time.settle();
    assert_int_equal(world.writes(), 1); // the test's own
}

void a_document_of_another_task_is_let_be(void **)
{
    writer_and_queues world;
    world.queue("a", "m");
    world.store("other", "n");
    world.file.tasks["a"].document = world.file.tasks.at("other").document;
    world.writer.update_first("m");
    world.time.settle();
    assert_int_equal(world.writes(), 0);
}

void of_many_only_a_few_are_under_way_and_all_are_written(void **)
{
    writer_and_queues world;
    constexpr int tasks = 50;
    for (int i = 0; i < tasks; ++i) {
        world.queue("t" + std::to_string(i), "m" + std::to_string(i));
    }
    world.journal.held = true;
    for (int i = 0; i < tasks; ++i) {
        world.writer.update_first("m" + std::to_string(i));
    }
    world.time.run_for(10h);
    assert_in_range(world.journal.finds, 1, 10);
    world.journal.release();
    world.time.settle();
    for (int i = 0; i < tasks; ++i) {
        assert_text(world.detail("t" + std::to_string(i)), "To begin: the first.");
    }
}

void what_cannot_be_read_or_written_is_tried_again(void **)
{
    for (const bool reads : {false, true}) {
        writer_and_queues world;
        world.queue("a", "m");
        (reads ? world.journal.failing_reads : world.journal.failing_writes) = 2;
        world.writer.update_first("m");
        world.time.settle();
        assert_text(world.detail("a"), "");
        world.time.run_for(10s);
        assert_text(world.detail("a"), "To begin: the first.");
        assert_int_equal(world.journal.finds, 3);
    }
}

void at_a_start_only_those_are_written_that_say_something_else(void **)
{
    writer_and_queues world;
    world.accept("a");
    world.accept("b");
    world.queue("c", "m");
    world.store("over", "m");
    world.writer.check_last(world.file.tasks.at("over")); // which is not there
    world.writer.check_last(world.file.tasks.at("c"));
    world.writer.update_first("m");
    world.time.settle();
    assert_int_equal(world.writes(), 1);
    assert_text(world.detail("c"), "To begin: behind b.");
    assert_text(world.detail("over"), "");
}

void what_was_begun_before_a_restart_is_to_go_on(void **)
{
    writer_and_queues world;
    const auto begun = world.store("a", "m", rollout::task_status::in_progress);
    world.queues.push("m", {begun.sequence, "a", 0, rollout::urgency::begun});
    world.writer.check_last(world.file.tasks.at("a"));
    world.time.settle();
    assert_text(world.detail("a"), "To go on: the first.");
}

void a_new_task_that_says_what_it_should_is_not_written_again(void **)
{
    writer_and_queues world;
    world.accept("a");
    world.writer.check_last(world.file.tasks.at("a"));
    world.time.settle();
    assert_int_equal(world.writes(), 0);
    world.accept("b");
    world.first_words = "no place.";
    world.writer.check_last(world.file.tasks.at("a")); // which is not the last any more
    world.time.settle();
    assert_int_equal(world.writes(), 0);
    world.queues.pop("m");
    world.queues.pop("m");
    world.writer.check_last(world.file.tasks.at("b")); // which has begun
    world.time.settle();
    assert_int_equal(world.writes(), 0);
}

void behind_a_stop_nothing_is_read_or_written(void **)
{
    writer_and_queues world;
    world.queue("a", "m");
    world.queue("b", "n");
    world.writer.update_first("m");
    world.time.next();
    world.writer.update_first("n");
    world.writer.stop();
    world.writer.update_first("m");
    world.time.run_for(10h);
    assert_int_equal(world.journal.finds, 1);
    assert_int_equal(world.writes(), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_moves_up_says_so),
        cmocka_unit_test(the_first_of_a_queue_says_what_is_in_its_way),
        cmocka_unit_test(a_task_that_has_begun_meanwhile_is_let_be),
        cmocka_unit_test(a_task_that_is_over_is_let_be),
        cmocka_unit_test(a_document_of_another_task_is_let_be),
        cmocka_unit_test(of_many_only_a_few_are_under_way_and_all_are_written),
        cmocka_unit_test(what_cannot_be_read_or_written_is_tried_again),
        cmocka_unit_test(at_a_start_only_those_are_written_that_say_something_else),
        cmocka_unit_test(what_was_begun_before_a_restart_is_to_go_on),
        cmocka_unit_test(a_new_task_that_says_what_it_should_is_not_written_again),
        cmocka_unit_test(behind_a_stop_nothing_is_read_or_written),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
