#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/quiet.hpp"
#include "worker/rollout/task_writer.hpp"

#include <memory>
#include <optional>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;
using rollout::wait_reason;
using rollout::wait_state;

const wait_state for_time = {wait_reason::time, 0, "It waits for a time."};
const wait_state for_gateway = {wait_reason::gateway, 0, "It waits for a gateway."};

/// A task in its first step of two.
struct written {
    written()
    {
        task.task_id = "t";
        task.model_id = model.model_id = "123";
        task.status = rollout::task_status::in_progress;
        task.model_revision = 7;
        task.step = "fetch";
        task.steps = {{.name = "fetch", .detail = ""}, {.name = "stage", .detail = ""}};
        model.last_revision = 7;
        file.tasks["t"] = rollout::row_of(task, 1);
        writer->on_durable = [this](std::uint64_t) { story.push_back("durable"); };
        writer->on_waits_changed = [this] { story.push_back("waits changed"); };
        writer->on_given_up = [this] { story.push_back("given up"); };
        writer->on_lost = [this] { story.push_back("lost"); };
    }

    void save()
    {
        writer->save([this] { story.push_back("then"); });
    }

    /// What has happened since it was asked last.
    std::string told()
    {
        std::string lines;
        for (const auto &line : std::exchange(story, {})) {
            lines += line + '\n';
        }
        return lines;
    }

    rollout::task in_journal() const { return rollout::task_of(file.tasks.at("t")).value(); }

    journal_file file;
    fake_clock time;
    std::vector<std::string> story;
    fake_journal journal{file, time, story};
    rollout::task task;
    rollout::model model;
    rollout::time_limit limit{time, 1000s, 0ms, [] {}};
    std::unique_ptr<rollout::task_writer> writer =
        std::make_unique<rollout::task_writer>(journal, time, limit, task, model);
};

constexpr const char *one_write = "journal: in_progress, fetch pending\n";

void a_save_is_durable_with_its_model_before_the_run_goes_on(void **)
{
    written of;
    of.save();
    assert_text(of.told(), "");
    of.time.settle();
    assert_text(of.told(), std::string(one_write) + "durable\nthen\n");
    assert_true(of.file.models.contains("123"));
    assert_int_equal(of.task.revision, of.file.revision);
}

void a_model_that_has_nothing_to_remember_is_not_written(void **)
{
    written of;
    of.model.last_revision = 0;
    of.save();
    of.time.settle();
    assert_text(of.told(), std::string(one_write) + "durable\nthen\n");
    assert_true(of.file.models.empty());
}

void a_save_that_fails_is_tried_again_until_it_works(void **)
{
    const quiet log;
    written of;
    of.journal.failing_writes = 3;
    of.save();
    of.time.run_for(2999ms);
    assert_text(of.told(), "");
    of.time.run_for(1ms);
    assert_text(of.told(), std::string(one_write) + "durable\nthen\n");
}

void once_it_gives_up_a_save_that_waits_for_its_next_attempt_is_dropped(void **)
{
    const quiet log;
    written of;
    of.journal.failing_writes = 1;
    of.save();
    of.time.settle();
    assert_true(of.writer->give_up());
    assert_false(of.writer->give_up()); // there is none any more
    of.time.run_for(100s);
    assert_text(of.told(), "");
}

void once_it_gives_up_a_save_on_its_way_ends_as_it_ends(void **)
{
    const quiet log;
    for (const bool fails : {false, true}) {
        written of;
        of.journal.failing_writes = fails ? 1 : 0;
        of.save();
        assert_false(of.writer->give_up());
        of.time.run_for(100s);
        assert_text(of.told(), fails ? "given up\n" : std::string(one_write) + "durable\nthen\n");
    }
}

void a_lost_save_is_not_tried_again_and_ends_all_writing(void **)
{
    const quiet log;
    written of;
    of.journal.lost = true;
    of.save();
    of.time.settle();
    assert_text(of.told(), "lost\n");
    assert_true(of.writer->give_up()); // of the save that something may wait for
    assert_false(of.writer->give_up());
    of.journal.lost = false;
    of.writer->note();
    of.writer->say_waiting(for_time);
    of.time.run_for(100s);
    assert_text(of.told(), "");
}

void a_lost_note_ends_the_save_that_comes_after_it(void **)
{
    const quiet log;
    written of;
    of.journal.lost = true;
    of.writer->note();
    of.writer->note();
    of.time.settle();
    assert_text(of.told(), "lost\n");
    assert_false(of.writer->give_up());
    of.save();
    assert_text(of.told(), ""); // never from inside the call
    of.time.settle();
    assert_text(of.told(), "given up\n");
}

void a_lost_note_ends_the_save_that_is_on_its_way(void **)
{
    const quiet log;
    written of;
    of.journal.lost = true;
    of.writer->note();
    of.save();
    of.time.settle();
    assert_text(of.told(), "lost\ngiven up\n");
}

void a_lost_verb_is_answered_before_the_run_ends(void **)
{
    const quiet log;
    written of;
    of.journal.lost = true;
    of.writer->write_once([&of](const outcome &result, const rollout::task_row &) {
        of.story.push_back(result.is_lost() ? "answered" : "stored");
    });
    of.time.settle();
    assert_text(of.told(), "answered\nlost\n");
}

void nothing_is_called_once_the_writer_is_gone(void **)
{
    written of;
    of.save();
    of.writer.reset();
    of.time.settle();
    assert_text(of.told(), one_write);
}

void a_document_is_up_to_the_moment_in_which_it_is_written(void **)
{
    written of;
    of.time.run_for(3s);
    of.limit.wait_for(rollout::waited_for::person);
    of.time.run_for(4s);
    of.writer->note();
    of.time.settle();
    assert_int_equal(of.in_journal().elapsed_ms, 3000);
    assert_int_equal(of.in_journal().updated_us, of.time.wall_us());
}

void what_is_waited_for_is_written_when_it_is_another_thing_than_before(void **)
{
    written of;
    of.writer->say_waiting(for_time);
    of.time.settle();
    assert_text(of.told(), "waits changed\n" + std::string(one_write));
    of.writer->say_waiting(for_time);
    of.time.settle();
    assert_text(of.told(), "");
    of.writer->say_waiting(for_gateway);
    of.time.settle();
    assert_text(of.told(), "waits changed\n" + std::string(one_write));
    assert_text(of.in_journal().detail, "It waits for a gateway.");
}

void how_far_a_step_is_is_written_with_a_wait_that_goes_on(void **)
{
    written of;
    of.writer->say_step("1 of 3 servers");
    of.time.settle();
    assert_text(of.told(), "");
    for (const char *words : {"1 of 3 servers", "2 of 3 servers"}) {
        of.writer->say_step(words);
        of.writer->say_waiting(for_time);
        of.time.settle();
        assert_text(of.in_journal().find_step("fetch")->detail, words);
        of.told();
    }
    of.writer->say_step("2 of 3 servers");
    of.writer->say_waiting(for_time);
    of.time.settle();
    assert_text(of.told(), "");
}

void a_wait_that_is_over_is_said_with_the_next_write(void **)
{
    written of;
    of.writer->note_if_stale(); // nothing is
    of.time.settle();
    assert_text(of.told(), "");
    of.writer->say_waiting(for_time);
    of.time.settle();
    of.told();
    of.writer->stop_waiting();
    of.time.settle();
    assert_text(of.told(), "");
    of.writer->note_if_stale();
    of.time.settle();
    assert_text(of.told(), "waits changed\n" + std::string(one_write));
    assert_text(of.in_journal().detail, "Step fetch of revision 7 is running.");
    of.writer->note_if_stale();
    of.time.settle();
    assert_text(of.told(), "");
}

void what_could_not_be_written_is_written_later(void **)
{
    written of;
    of.journal.failing_writes = 2;
    of.writer->say_waiting(for_time);
    of.time.run_for(1999ms);
    assert_text(of.told(), "waits changed\n");
    of.time.run_for(1ms);
    assert_text(of.told(), one_write);
    assert_text(of.in_journal().detail, "It waits for a time.");
}

void what_could_not_be_written_is_not_written_ahead_of_a_save(void **)
{
    const quiet log;
    written of;
    of.journal.failing_writes = 3; // the note, and the save twice
    of.writer->note();
    of.save();
    of.time.run_for(1999ms);
    assert_text(of.told(), "");
    of.time.run_for(1ms);
    assert_text(of.told(), std::string(one_write) + "durable\nthen\n");
}

void a_final_task_says_nothing_of_waits_any_more(void **)
{
    written of;
    of.writer->say_waiting(for_time);
    of.time.settle();
    of.told();
    of.writer->stop_waiting();
    of.task.status = rollout::task_status::completed;
    of.writer->note_if_stale();
    of.time.settle();
    assert_text(of.told(), "");
}

void progress_is_that_of_the_step_among_all(void **)
{
    written of;
    of.writer->note_progress(0.5, "1 MiB of 2 MiB");
    of.time.settle();
    const auto task = of.in_journal();
    assert_true(task.progress == 0.25);
    assert_text(task.detail, "Step fetch of revision 7 is running. 1 MiB of 2 MiB.");
    assert_text(task.steps[0].detail, "1 MiB of 2 MiB");
}

void on_the_way_back_all_that_is_said_begins_with_why(void **)
{
    written of;
    of.writer->say_first("Step load failed.");
    of.writer->stop_waiting();
    assert_text(of.task.detail, "Step load failed. It is rolled back.");
    of.writer->say_waiting(for_gateway);
    assert_text(of.task.detail, "Step load failed. It waits for a gateway.");
}

void a_task_that_is_written_once_is_answered_with_what_was_written(void **)
{
    for (const bool fails : {false, true}) {
        written of;
        of.journal.failing_writes = fails ? 1 : 0;
        of.task.paused = true;
        std::string answer;
        of.writer->write_once([&](const outcome &result, const rollout::task_row &row) {
            const auto task = rollout::task_of(row).value();
            answer = std::string(result ? "ok" : "failed") + (task.paused ? ", paused" : "") + ", revision " +
                     std::to_string(row.revision);
        });
        of.task.paused = false;
        of.writer.reset(); // whoever asked is answered all the same
        of.time.run_for(100s);
        assert_text(answer, fails ? "failed, paused, revision 0" : "ok, paused, revision 1");
        assert_text(of.told(), fails ? "" : one_write);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_save_is_durable_with_its_model_before_the_run_goes_on),
        cmocka_unit_test(a_model_that_has_nothing_to_remember_is_not_written),
        cmocka_unit_test(a_save_that_fails_is_tried_again_until_it_works),
        cmocka_unit_test(once_it_gives_up_a_save_that_waits_for_its_next_attempt_is_dropped),
        cmocka_unit_test(once_it_gives_up_a_save_on_its_way_ends_as_it_ends),
        cmocka_unit_test(a_lost_save_is_not_tried_again_and_ends_all_writing),
        cmocka_unit_test(a_lost_note_ends_the_save_that_comes_after_it),
        cmocka_unit_test(a_lost_note_ends_the_save_that_is_on_its_way),
        cmocka_unit_test(a_lost_verb_is_answered_before_the_run_ends),
        cmocka_unit_test(nothing_is_called_once_the_writer_is_gone),
        cmocka_unit_test(a_document_is_up_to_the_moment_in_which_it_is_written),
        cmocka_unit_test(what_is_waited_for_is_written_when_it_is_another_thing_than_before),
        cmocka_unit_test(how_far_a_step_is_is_written_with_a_wait_that_goes_on),
        cmocka_unit_test(a_wait_that_is_over_is_said_with_the_next_write),
        cmocka_unit_test(what_could_not_be_written_is_written_later),
        cmocka_unit_test(what_could_not_be_written_is_not_written_ahead_of_a_save),
        cmocka_unit_test(a_final_task_says_nothing_of_waits_any_more),
        cmocka_unit_test(progress_is_that_of_the_step_among_all),
        cmocka_unit_test(on_the_way_back_all_that_is_said_begins_with_why),
        cmocka_unit_test(a_task_that_is_written_once_is_answered_with_what_was_written),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
