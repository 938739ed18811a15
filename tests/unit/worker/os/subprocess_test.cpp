#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/os/subprocess.hpp"

#include <filesystem>
#include <optional>

namespace {

using rollout::command_end;
using rollout::command_request;
using rollout::outcome;
using namespace std::chrono_literals;

struct one_run {
    /// A shell script, which the tests' system has.
    rollout::operation_ptr start(const std::string &script, const std::string &input = "",
                                 std::chrono::milliseconds timeout = 60s, std::chrono::milliseconds grace = 60s)
    {
        command_request request;
        request.command = {"/bin/sh", "-c", script, "sh", "an argument; echo"};
        request.input = input;
        request.timeout = timeout;
        request.grace = grace;
        return rollout::run_command(loop.get(), request, [this](const command_end &how) { ended = how; });
    }

    command_end finish(const std::string &script, const std::string &input = "",
                       std::chrono::milliseconds timeout = 60s, std::chrono::milliseconds grace = 60s)
    {
        const auto held = start(script, input, timeout, grace);
        assert_false(ended.has_value()); // never from inside
        loop.run_until([this] { return ended.has_value(); });
        return *ended;
    }

    std::optional<command_end> ended;
    test_loop loop;
};

std::string quoted(const std::filesystem::path &path)
{
    return "'" + path.native() + "'";
}

void a_programs_exit_status_and_words_are_the_answer(void **)
{
    const auto end = one_run().finish("cat >&2; echo; echo lost; exit 7", "what it was asked");
    assert_int_equal(end.status, 7);
    assert_text(end.words, "what it was asked");
    assert_text(end.error, "");
}

void arguments_reach_the_program_as_they_are(void **)
{
    assert_text(one_run().finish("echo \"$#: $1\" >&2").words, "1: an argument; echo");
}

void a_program_that_reads_nothing_is_right_all_the_same(void **)
{
    const auto end = one_run().finish("exit 0", std::string(4 << 20, 'x'));
    assert_int_equal(end.status, 0);
}

void of_many_words_the_last_lines_are_kept_clean(void **)
{
    const auto end = one_run().finish("i=0; while [ $i -lt 3000 ]; do echo \"line $i\" >&2; i=$((i + 1)); done;"
                                      "printf 'the \\033[31mcause\\377\\n' >&2; exit 1");
    assert_true(end.words.size() < 700);
    assert_true(end.words.starts_with("line 29"));
    assert_true(end.words.find("line 2999 the [31mcause\xEF\xBF\xBD") != std::string::npos);
}

void a_program_that_is_not_there_fails_for_good(void **)
{
    one_run run;
    command_request request;
    request.command = {"/no/such/program"};
    const auto held = rollout::run_command(run.loop.get(), request, [&](const command_end &how) { run.ended = how; });
    run.loop.run_until([&] { return run.ended.has_value(); });
    assert_int_equal(run.ended->status, -1);
    assert_true(run.ended->lasting);
    assert_text(run.ended->error, "the program /no/such/program cannot be started: no such file or directory");
}

void a_program_that_takes_too_long_is_ended_with_its_whole_group(void **)
{
    one_run run;
    const temporary_folder folder;
    // The child ignores SIGTERM, as does the shell: only a SIGKILL to the group ends both.
    const auto end =
        run.finish("trap '' TERM; echo begun >&2; (sleep 600; : > " + quoted(folder / "late") + ") & sleep 600", "",
                   100ms, 50ms);
    assert_int_equal(end.status, -1);
    assert_text(end.error, "the program /bin/sh did not end within 100 ms and was stopped");
    assert_text(end.words, "begun");
    assert_true(rollout::outcome_of(end, "x").is == outcome::kind::transient);
}

void a_cancel_ends_the_program_and_is_told_when_it_has_ended(void **)
{
    one_run run;
    const auto held = run.start("sleep 600");
    held->cancel();
    assert_false(run.ended.has_value());
    run.loop.run_until([&] { return run.ended.has_value(); });
    assert_true(run.ended->canceled);
    assert_true(rollout::outcome_of(*run.ended, "x").is == outcome::kind::canceled);
}

void an_operation_that_is_destroyed_takes_its_program_along_and_tells_nobody(void **)
{
    one_run run;
    run.start("sleep 600").reset();
    uv_run(run.loop.get(), UV_RUN_DEFAULT); // comes back: nothing runs any more
    assert_false(run.ended.has_value());
}

void what_a_program_leaves_behind_does_not_hold_up_its_end(void **)
{
    one_run run;
    const temporary_folder folder;
    const std::string fifo = quoted(folder / "fifo");
    const auto end = run.finish("mkfifo " + fifo + "; cat " + fifo + " & echo done >&2; exit 3");
    assert_int_equal(end.status, 3);
    assert_text(end.words, "done");
    std::ofstream(folder / "fifo") << "end"; // it lived on to read this
}

void the_exit_status_says_whether_to_try_again(void **)
{
    const auto outcome_of = [](int status, const char *words) {
        command_end end;
        end.status = status;
        end.words = words;
        return rollout::outcome_of(end, "load m by /x");
    };
    assert_true(outcome_of(0, "fine").is == outcome::kind::ok);
    assert_text(outcome_of(0, "fine").detail, "fine");
    assert_true(outcome_of(75, "busy").is == outcome::kind::transient);
    assert_text(outcome_of(75, "busy").detail, "could not load m by /x: exit status 75, busy");
    for (const int status : {1, 2, 74, 76, 126, 127, 255}) {
        assert_true(outcome_of(status, "").is == outcome::kind::permanent);
    }
    assert_true(rollout::outcome_of(one_run().finish("kill -9 $$"), "x").is == outcome::kind::transient);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_programs_exit_status_and_words_are_the_answer),
        cmocka_unit_test(arguments_reach_the_program_as_they_are),
        cmocka_unit_test(a_program_that_reads_nothing_is_right_all_the_same),
        cmocka_unit_test(of_many_words_the_last_lines_are_kept_clean),
        cmocka_unit_test(a_program_that_is_not_there_fails_for_good),
        cmocka_unit_test(a_program_that_takes_too_long_is_ended_with_its_whole_group),
        cmocka_unit_test(a_cancel_ends_the_program_and_is_told_when_it_has_ended),
        cmocka_unit_test(an_operation_that_is_destroyed_takes_its_program_along_and_tells_nobody),
        cmocka_unit_test(what_a_program_leaves_behind_does_not_hold_up_its_end),
        cmocka_unit_test(the_exit_status_says_whether_to_try_again),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
