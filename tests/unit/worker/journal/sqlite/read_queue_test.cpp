#include "tests/unit/cmocka.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"
#include "worker/journal/sqlite/read_queue.hpp"

#include <functional>
#include <new>
#include <string>
#include <utility>

namespace {

using rollout::outcome;
using rollout::sqlite_database;

struct fixture {
    /// Asks for a number; `story` gets it, or why there is none.
    void ask(const char *sql, std::function<void()> then = {})
    {
        reads.ask<std::int64_t>([sql](sqlite_database &database) { return database.number(sql); },
                                [this, then = std::move(then)](const outcome &ended, std::int64_t number) {
                                    story += (ended ? std::to_string(number) : "failed") + " ";
                                    last = ended;
                                    if (then) {
                                        then();
                                    }
                                });
    }

    void run()
    {
        loop.run_until([this] { return !reads.busy(); });
    }

    written_file journal;
    test_loop loop;
    rollout::read_queue reads{loop.get(), (journal.folder / "journal.db").native()};
    std::string story;
    outcome last;
};

void questions_are_answered_from_the_loop_in_their_order(void **)
{
    fixture of;
    of.journal.create(task_of_model("t1", "a"));
    of.ask("SELECT count(*) FROM tasks");
    of.ask("SELECT 7");
    assert_text(of.story, ""); // never from inside the call
    assert_true(of.reads.busy());
    of.run();
    assert_text(of.story, "1 7 ");
}

void a_question_that_fails_says_why_and_fails_alone(void **)
{
    fixture of;
    of.ask("SELECT 1");
    of.ask("SELECT * FROM nowhere");
    of.ask("SELECT 3");
    of.run();
    assert_text(of.story, "1 failed 3 ");
    of.ask("SELECT * FROM nowhere");
    of.run();
    assert_true(of.last.is == outcome::kind::transient);
    assert_holds(of.last.detail, "no such table: nowhere");
}

void an_answer_for_which_there_is_no_memory_is_a_failure_and_no_empty_one(void **)
{
    fixture of;
    of.reads.ask<std::int64_t>([](sqlite_database &) -> std::int64_t { throw std::bad_alloc(); },
                               [&](const outcome &ended, std::int64_t) { of.last = ended; });
    of.ask("SELECT 2");
    of.loop.run_until([&] { return !of.last.detail.empty(); });
    assert_true(of.last.is == outcome::kind::transient);
    of.run();
    assert_text(of.story, "2 "); // those behind it are read
}

void more_questions_than_a_turn_takes_are_all_answered(void **)
{
    fixture of;
    std::string expected;
    for (int i = 0; i < 200; ++i) {
        of.ask("SELECT 1");
        expected += "1 ";
    }
    of.run();
    assert_text(of.story, expected);
}

void an_answer_may_ask_again(void **)
{
    fixture of;
    of.ask("SELECT 1", [&] { of.ask("SELECT 2"); });
    of.run();
    assert_text(of.story, "1 2 ");
}

void nothing_can_be_changed_by_a_question(void **)
{
    fixture of;
    of.ask("DELETE FROM meta");
    of.run();
    assert_text(of.story, "failed ");
    assert_int_equal(of.journal.database.number("SELECT count(*) FROM meta"), 2);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_answered_from_the_loop_in_their_order),
        cmocka_unit_test(a_question_that_fails_says_why_and_fails_alone),
        cmocka_unit_test(an_answer_for_which_there_is_no_memory_is_a_failure_and_no_empty_one),
        cmocka_unit_test(more_questions_than_a_turn_takes_are_all_answered),
        cmocka_unit_test(an_answer_may_ask_again),
        cmocka_unit_test(nothing_can_be_changed_by_a_question),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
