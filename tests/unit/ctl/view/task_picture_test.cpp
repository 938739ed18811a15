// A task as a picture, as wide as the terminal.
#include "ctl/view/task_picture.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/ctl/sample_document.hpp"

#include <clocale>

namespace {

using rollout::ctl::picture_context;
using rollout::ctl::read_task_document;

picture_context at_41_s()
{
    picture_context around;
    around.now_us = sample_hold_ends_us - 19 * 1000000LL;
    around.blue_revision = 6;
    around.is_ready = true;
    return around;
}

std::string picture_of(const std::string &document, std::size_t columns, const picture_context &around = at_41_s())
{
    const auto task = read_task_document(rollout::task_kind::deploy, document).value();
    std::string text;
    for (const auto &line : draw_task(task, around, columns)) {
        text += line.render(columns, false) + '\n';
    }
    return text;
}

void a_rollout_fits_eighty_columns(void **)
{
    assert_text(picture_of(sample_document, 80),
                "123  revision 7 beside 6  in progress  rolloutd ✔  task t-7\n"
                "Revision 7 has 25 % of the traffic of model 123 until 16:10:40 UTC at the\n"
                "earliest.\n"
                "fetch ✔ 1.2 s  load ✔ 3.1 s  smoke –  shift ● 2 of 3  promote ○\n"
                "━━5━━━━━━━━━25─────────────────────────────────100  25 %  since 41 s  19 s to go\n"
                "done at the earliest in 1 min 19 s\n"
                "         requests   failed                 4xx      mean       p99\n"
                "blue       12,431        3    0.02 %  0.0965 %      8 ms     31 ms\n"
                "green       4,120        1    0.02 %  0.0971 %      7 ms     28 ms\n"
                "gate  ✔ requests 4,120 of 50  ✔ failed 0.02 of 1 %  ✔ p99 28 of 500 ms\n"
                "✔ failed 1 of 2 × blue\n"
                "created by ann, 10.1.0.7\n");
}

void a_narrow_screen_has_fewer_columns_and_nothing_too_wide(void **)
{
    for (const std::size_t columns : {1U, 7U, 20U, 40U, 79U, 200U}) {
        const auto task = read_task_document(rollout::task_kind::deploy, sample_document).value();
        for (const auto &line : draw_task(task, at_41_s(), columns)) {
            assert_true(rollout::ctl::width_of(line.render(columns, false)) <= columns);
        }
    }
    assert_holds(picture_of(sample_document, 40), "blue       12,431        3    0.02 %\n");
}

void the_limit_that_decided_stands_out(void **)
{
    std::string bad = sample_with("\"decided\": false", "\"decided\": true");
    bad.replace(bad.find("\"undecided\", \"reason\": \"\""), 25,
                R"("bad", "reason": "green fails 20 % of its requests")");
    const auto text = picture_of(bad, 80);
    assert_holds(text, "✘ failed 0.02 of 1 %");
    assert_holds(text, "\ngreen fails 20 % of its requests\n");
}

void what_is_not_known_is_left_out(void **)
{
    picture_context around;
    around.now_us = sample_hold_ends_us;
    const auto text = picture_of(sample_document, 80, around);
    assert_holds(text, "123  revision 7  in progress  task t-7\n");
    assert_true(text.find("to go") == std::string::npos);
}

void trouble_is_said_with_its_age(void **)
{
    picture_context around = at_41_s();
    around.trouble = "No gateway answers.";
    around.trouble_lasts = std::chrono::seconds(12);
    assert_holds(picture_of(sample_document, 80, around), "no answer for 12 s  task t-7\nNo gateway answers.\n");
}

void a_state_says_what_the_task_waits_for(void **)
{
    const auto state = [](const std::string &text, const std::string &other) {
        return state_of(read_task_document(rollout::task_kind::deploy, sample_with(text, other)).value());
    };
    assert_text(state("\"time\"", "\"person\""), "waits for a person");
    assert_text(state("\"waits_for\"", "\"paused\": true, \"waits_for\""), "paused");
    assert_text(state("\"waits_for\"", "\"cancel_asked\": true, \"waits_for\""), "canceling");
    assert_text(state("\"in_progress\"", "\"done\""), "completed");
}

} // namespace

int main()
{
    std::setlocale(LC_CTYPE, "C.UTF-8");
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_rollout_fits_eighty_columns),
        cmocka_unit_test(a_narrow_screen_has_fewer_columns_and_nothing_too_wide),
        cmocka_unit_test(the_limit_that_decided_stands_out),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(trouble_is_said_with_its_age),
        cmocka_unit_test(a_state_says_what_the_task_waits_for),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
