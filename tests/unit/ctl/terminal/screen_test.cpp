// A picture that is redrawn in place.
#include "ctl/terminal/confirmation.hpp"
#include "ctl/terminal/screen.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::ctl::screen;
using rollout::ctl::styled_line;

std::vector<styled_line> lines_of(std::initializer_list<const char *> texts)
{
    std::vector<styled_line> lines;
    for (const char *text : texts) {
        lines.emplace_back(text);
    }
    return lines;
}

void the_next_picture_takes_the_place_of_the_last(void **)
{
    screen shown(false);
    assert_text(shown.draw(lines_of({"a", "b"}), {80, 24}), "\r\x1b[2Ka\n\x1b[2Kb\n\x1b[J");
    assert_text(shown.draw(lines_of({"c"}), {80, 24}), "\x1b[2A\r\x1b[2Kc\n\x1b[J");
    assert_text(shown.draw(lines_of({"d"}), {80, 24}), "\x1b[1A\r\x1b[2Kd\n\x1b[J");
}

void what_has_not_changed_is_not_drawn(void **)
{
    screen shown(false);
    shown.draw(lines_of({"a"}), {80, 24});
    assert_text(shown.draw(lines_of({"a"}), {80, 24}), "");
    assert_holds(shown.draw(lines_of({"a"}), {40, 24}), "a\n"); // another size
}

void it_never_scrolls(void **)
{
    screen shown(false);
    assert_text(shown.draw(lines_of({"a", "b", "c", "d"}), {80, 4}),
                "\r\x1b[2Ka\n\x1b[2Kb\n\x1b[2K… 2 more lines\n\x1b[J");
    assert_text(shown.draw(lines_of({"a", "b", "c"}), {80, 4}), "\x1b[3A\r\x1b[2Ka\n\x1b[2Kb\n\x1b[2Kc\n\x1b[J");
    assert_text(shown.draw(lines_of({"a", "b"}), {80, 2}), "\x1b[1A\r\x1b[2K… 2 more lines\n\x1b[J");
}

void lines_that_a_narrower_terminal_breaks_are_counted(void **)
{
    screen shown(false);
    shown.draw(lines_of({"1234567890", "x"}), {10, 24});
    assert_holds(shown.draw(lines_of({"1234567890", "x"}), {5, 24}), "\x1b[3A\r\x1b[2K1234…\n");
}

void a_person_says_yes_in_so_many_words(void **)
{
    for (const char *line : {"y", "Y", "yes", "Yes"}) {
        assert_true(rollout::ctl::says_yes(line));
    }
    for (const char *line : {"", "n", "no", "yess", "y ", "1"}) {
        assert_false(rollout::ctl::says_yes(line));
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_next_picture_takes_the_place_of_the_last),
        cmocka_unit_test(what_has_not_changed_is_not_drawn),
        cmocka_unit_test(it_never_scrolls),
        cmocka_unit_test(lines_that_a_narrower_terminal_breaks_are_counted),
        cmocka_unit_test(a_person_says_yes_in_so_many_words),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
