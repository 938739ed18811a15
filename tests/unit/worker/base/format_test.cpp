#include "tests/unit/characters.hpp"
#include "tests/unit/cmocka.hpp"
#include "worker/base/format.hpp"

#include <cerrno>

namespace {

using rollout::clean_text;
using rollout::valid_utf8;

constexpr const char *bad = "\xEF\xBF\xBD"; // U+FFFD
constexpr const char *ellipsis = "\xE2\x80\xA6";

void plain_text_stays_as_it_is(void **)
{
    assert_text(clean_text("", 10), "");
    assert_text(clean_text("failed to load 'm': \"no\" \\ {version}", 100),
                "failed to load 'm': \"no\" \\ {version}");
    assert_text(clean_text("caf\xC3\xA9 \xE6\xA8\xA1\xE5\x9E\x8B \xF0\x9F\x9A\x80", 100),
                "caf\xC3\xA9 \xE6\xA8\xA1\xE5\x9E\x8B \xF0\x9F\x9A\x80");
}

void white_space_and_controls_become_one_space_and_none_at_the_ends(void **)
{
    assert_text(clean_text(" \t a \r\n\v\f b\x7f\x1b[31mc \n", 100), "a b [31mc");
    assert_text(clean_text(std::string_view("a\0b", 3), 100), "a b");
    assert_text(clean_text("\n\n", 100), "");
    assert_text(clean_text("a\xC2\x85"
                           "b\xC2\xA0"
                           "c",
                           100),
                "a b c");
}

void invisible_characters_that_forge_a_line_become_a_space(void **)
{
    for (const char *forged : {"\xE2\x80\xA8", "\xE2\x80\xA9",                                 // line, paragraph
                               "\xE2\x80\xAA", "\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x81\xA9", // direction
                               "\xE2\x80\x8E", "\xE2\x80\x8F",                                 // marks
                               "\xE2\x80\x8B", "\xE2\x81\xA0", "\xEF\xBB\xBF",                 // no width
                               "\xE3\x80\x80", "\xE2\x80\x83",                                 // spaces
                               "\xF3\xA0\x80\xA1"}) {                                          // tags
        assert_text(clean_text(std::string("a") + forged + "b", 100), "a b");
    }
}

void bytes_that_are_no_utf_8_are_each_replaced(void **)
{
    const std::pair<const char *, int> all[] = {
        {"\xFF", 1},             // never
        {"\x80", 1},             // continuation alone
        {"\xC3", 1},             // cut short
        {"\xE2\x82", 2},         // cut short
        {"\xC0\xAF", 2},         // overlong '/'
        {"\xE0\x80\xAF", 3},     // overlong
        {"\xF0\x80\x80\xAF", 4}, // overlong
        {"\xED\xA0\x80", 3},     // surrogate
        {"\xF4\x90\x80\x80", 4}, // past U+10FFFF
        {"\xF8\x88\x80\x80\x80", 5},
    };
    for (const auto &[bytes, count] : all) {
        std::string replaced;
        for (int i = 0; i < count; ++i) {
            replaced += bad;
        }
        assert_text(clean_text(std::string("a") + bytes + "b", 100), "a" + replaced + "b");
        assert_text(valid_utf8(std::string("a\n") + bytes), "a\n" + replaced);
    }
    assert_text(valid_utf8("\xC3"
                           "a"),
                bad + std::string("a"));
    assert_text(valid_utf8("\xF4\x8F\xBF\xBF"), "\xF4\x8F\xBF\xBF");
}

void the_bound_counts_characters_and_not_bytes(void **)
{
    const std::string e = "\xC3\xA9";
    assert_text(clean_text(e + e + e, 3), e + e + e);
    assert_text(clean_text(e + e + e + e, 3), e + e + ellipsis);
    assert_text(clean_text("\xF0\x9F\x9A\x80\xF0\x9F\x9A\x80\xF0\x9F\x9A\x80", 2),
                std::string("\xF0\x9F\x9A\x80") + ellipsis);
    assert_text(clean_text("\xFF\xFF\xFF", 3), std::string(bad) + bad + bad);
    assert_text(clean_text("\xFF\xFF\xFF\xFF", 3), std::string(bad) + bad + ellipsis);
}

void what_is_cut_ends_with_an_ellipsis_within_the_bound(void **)
{
    assert_text(clean_text("abc", 1), ellipsis);
    assert_text(clean_text("a", 1), "a");
    assert_text(clean_text("ab cd", 4), std::string("ab ") + ellipsis);
    assert_text(clean_text("ab cd", 3), std::string("ab") + ellipsis);
    assert_text(clean_text("abc   ", 3), "abc");
    for (std::size_t bound = 1; bound < 40; ++bound) {
        assert_true(characters_of(clean_text("a \xC3\xA9  b\n\xFF c \xF0\x9F\x9A\x80 d e f g", bound)) <= bound);
    }
}

void a_huge_text_is_cut_where_the_bound_is(void **)
{
    const std::string clean = clean_text(std::string(5000000, 'x'), 1500);
    assert_int_equal(clean.size(), 1499 + 3);
    assert_text(clean_text(std::string(5000000, ' ') + "x", 1500), "x");
}

void every_byte_can_come(void **)
{
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
            const std::string clean = clean_text(std::string_view(bytes, 2), 2);
            assert_text(valid_utf8(clean), clean);
            for (const char c : clean) {
                assert_true(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
            }
        }
    }
}

void a_path_is_shown_clean_and_bounded(void **)
{
    assert_text(rollout::shown("/srv/models/a\nb"), "/srv/models/a b");
    assert_int_equal(characters_of(rollout::shown("/" + std::string(5000, 'a'))), 400);
}

void sizes_read_as_people_say_them(void **)
{
    assert_text(rollout::format_size(0), "0 bytes");
    assert_text(rollout::format_size(1), "1 byte");
    assert_text(rollout::format_size(1023), "1023 bytes");
    assert_text(rollout::format_size(1024), "1.0 KiB");
    assert_text(rollout::format_size(1048575), "1.0 MiB");
    assert_text(rollout::format_size(2306867), "2.2 MiB");
    assert_text(rollout::format_size(53687091200), "50.0 GiB");
    assert_text(rollout::format_size(UINT64_MAX), "16.0 EiB");
}

void durations_and_counts_read_as_people_say_them(void **)
{
    using namespace std::chrono_literals;
    assert_text(rollout::format_duration(250ms), "250 ms");
    assert_text(rollout::format_duration(30s), "30 s");
    assert_text(rollout::format_duration(1500ms), "1.5 s");
    assert_text(rollout::format_duration(18000s), "18000 s");
    assert_text(rollout::format_count(1, "file", "files"), "1 file");
    assert_text(rollout::format_count(0, "file", "files"), "0 files");
    assert_text(rollout::format_errno(ENOENT), "No such file or directory");
}

void numbers_read_as_people_write_them(void **)
{
    assert_text(rollout::format_number(0), "0");
    assert_text(rollout::format_number(0.31578), "0.3158");
    assert_text(rollout::format_number(12), "12");
    assert_text(rollout::format_number(999.96), "1000");
    assert_text(rollout::format_number(30000), "30000");
    assert_text(rollout::format_number(12345.6), "12346");
    assert_text(rollout::format_number(1e6), "1000000");
    assert_text(rollout::format_number(0.00001), "0.00001");
    assert_text(rollout::format_number(0.000012345), "0.00001234");
    assert_text(rollout::format_number(-20000), "-20000");
    assert_text(rollout::format_percent(0.021), "2.1 %");
}

void every_character_that_turns_the_direction_becomes_a_space(void **)
{
    assert_text(clean_text("a\xD8\x9C"
                           "b",
                           100),
                "a b"); // U+061C, ARABIC LETTER MARK
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_stays_as_it_is),
        cmocka_unit_test(white_space_and_controls_become_one_space_and_none_at_the_ends),
        cmocka_unit_test(invisible_characters_that_forge_a_line_become_a_space),
        cmocka_unit_test(bytes_that_are_no_utf_8_are_each_replaced),
        cmocka_unit_test(the_bound_counts_characters_and_not_bytes),
        cmocka_unit_test(what_is_cut_ends_with_an_ellipsis_within_the_bound),
        cmocka_unit_test(a_huge_text_is_cut_where_the_bound_is),
        cmocka_unit_test(every_byte_can_come),
        cmocka_unit_test(a_path_is_shown_clean_and_bounded),
        cmocka_unit_test(sizes_read_as_people_say_them),
        cmocka_unit_test(durations_and_counts_read_as_people_say_them),
        cmocka_unit_test(numbers_read_as_people_write_them),
        cmocka_unit_test(every_character_that_turns_the_direction_becomes_a_space),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
