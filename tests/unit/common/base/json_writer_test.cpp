#include "common/base/json_writer.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"

#include <limits>

namespace {

using rollout::json_writer;

std::string written(std::string_view text)
{
    return json_writer().text(text).take();
}

std::string written(double value)
{
    return json_writer().real(value).take();
}

void members_and_elements_stand_in_their_order_with_commas_between(void **)
{
    json_writer to;
    to.begin_object();
    to.name("a").number(1);
    to.name("b").begin_array().text("x").begin_object().end_object().begin_array().end_array().null().end_array();
    to.name("c").begin_object().name("d").boolean(true).name("e").boolean(false).end_object();
    to.name("f").raw(R"({"g":[]})");
    to.end_object();
    assert_text(to.take(), R"({"a":1,"b":["x",{},[],null],"c":{"d":true,"e":false},"f":{"g":[]}})");
}

void each_byte_of_a_text_reads_as_what_it_was(void **)
{
    assert_text(written(""), R"("")");
    assert_text(written("\"\\/\b\f\n\r\t\x01\x1f\x7f"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    assert_text(written("caf\xC3\xA9 \xF0\x9F\x9A\x80"), "\"caf\xC3\xA9 \xF0\x9F\x9A\x80\"");
    for (int byte = 1; byte < 0x80; ++byte) {
        for (const std::string around : {"", "ab"}) {
            const std::string text = around + static_cast<char>(byte) + around;
            const auto read = json_of("[" + written(text) + "]");
            assert_text(rollout::json_text(json_array_get(read.get(), 0)), text);
        }
    }
    assert_text(written(std::string_view("a\0b", 3)), R"("a\u0000b")");
}

void numbers_are_written_to_their_ends(void **)
{
    assert_text(json_writer().number(std::numeric_limits<std::int64_t>::min()).take(), "-9223372036854775808");
    assert_text(json_writer().number(std::numeric_limits<std::uint64_t>::max()).take(), "18446744073709551615");
    assert_text(json_writer().number(0U).take(), "0");
}

void a_real_number_stays_one_and_is_short(void **)
{
    assert_text(written(0.0), "0.0");
    assert_text(written(1.0), "1.0");
    assert_text(written(0.35), "0.35");
    for (const double value : {1.0 / 3, 1e-7, 1e300, -2.5, 123456789.0}) {
        const auto read = json_of("[" + written(value) + "]");
        assert_true(json_is_real(json_array_get(read.get(), 0)));
        assert_true(json_real_value(json_array_get(read.get(), 0)) == value);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(members_and_elements_stand_in_their_order_with_commas_between),
        cmocka_unit_test(each_byte_of_a_text_reads_as_what_it_was),
        cmocka_unit_test(numbers_are_written_to_their_ends),
        cmocka_unit_test(a_real_number_stays_one_and_is_short),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
