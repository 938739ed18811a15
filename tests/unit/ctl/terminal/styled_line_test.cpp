// Lines with colours, and their width.
#include "ctl/terminal/styled_line.hpp"
#include "tests/unit/cmocka.hpp"

#include <clocale>

namespace {

using namespace rollout::ctl;

std::string text_of(const std::vector<styled_line> &lines)
{
    std::string text;
    for (const auto &line : lines) {
        text += line.render(1000, false) + '\n';
    }
    return text;
}

void a_line_is_cut_with_an_ellipsis(void **)
{
    const styled_line line("abcdef");
    assert_text(line.render(6, false), "abcdef");
    assert_text(line.render(5, false), "abcd…");
    assert_text(line.render(1, false), "…");
    assert_text(line.render(0, false), "");
}

void what_takes_two_columns_is_not_cut_in_half(void **)
{
    std::setlocale(LC_CTYPE, "C.UTF-8");
    assert_int_equal(width_of("模型"), 4);
    assert_int_equal(width_of("✔ é"), 3);
    assert_int_equal(width_of("\xFF\xC3"), 2);
    assert_text(styled_line("模型").render(3, false), "模…");
    assert_text(styled_line("模型").render(2, false), "…");
}

void colors_surround_their_text_alone(void **)
{
    styled_line line("a");
    line.add("b", style::bad).add("c");
    assert_text(line.render(3, true), "a\x1b[1;31mb\x1b[0mc");
    assert_text(line.render(2, true), "a…");
    assert_text(line.render(3, false), "abc");
    assert_int_equal(line.width(), 3);
    assert_text(line.pad_to(5).render(9, false), "abc  ");
}

void items_flow_into_lines(void **)
{
    const std::vector<styled_line> items = {styled_line("aaa"), styled_line("bbb"), styled_line("ccc")};
    assert_text(text_of(flow(items, 8)), "aaa  bbb\nccc\n");
    assert_text(text_of(flow(items, 2)), "aaa\nbbb\nccc\n");
    assert_text(text_of(flow({}, 8)), "");
}

void a_text_breaks_at_blanks(void **)
{
    assert_text(text_of(wrap("one two three four", 9, 5)), "one two\nthree\nfour\n");
    assert_text(text_of(wrap("one two three four", 9, 2)), "one two\nthree four\n"); // the screen cuts the last one
    assert_text(text_of(wrap("unbreakable", 4, 5)), "unbr\neaka\nble\n");
    assert_text(text_of(wrap("", 4, 5)), "");
    assert_text(text_of(wrap("模", 1, 5)), "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_cut_with_an_ellipsis),
        cmocka_unit_test(what_takes_two_columns_is_not_cut_in_half),
        cmocka_unit_test(colors_surround_their_text_alone),
        cmocka_unit_test(items_flow_into_lines),
        cmocka_unit_test(a_text_breaks_at_blanks),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
