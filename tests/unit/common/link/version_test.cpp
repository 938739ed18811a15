#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"

#include "common/link/version.hpp"

namespace {

using rollout::common_protocol;
using rollout::format_versions;
using rollout::protocol_range;
using rollout::protocols_of;
using rollout::put_protocols;

void the_newest_version_that_both_speak_is_taken_whoever_asks(void **)
{
    const struct {
        protocol_range one, other;
        json_int_t common; // 0: none
    } table[] = {
        {{2, 2}, {2, 2}, 2}, {{2, 2}, {2, 3}, 2}, {{2, 3}, {2, 3}, 3}, {{2, 3}, {3, 4}, 3}, {{2, 4}, {3, 3}, 3},
        {{2, 2}, {3, 4}, 0}, {{2, 3}, {4, 4}, 0}, {{2, 2}, {0, 0}, 0}, {{2, 2}, {9, 1}, 0}, {{2, 2}, {-5, 99}, 2},
    };
    for (const auto &row : table) {
        assert_int_equal(common_protocol(row.one, row.other).value_or(0), row.common);
        assert_int_equal(common_protocol(row.other, row.one).value_or(0), row.common);
    }
}

void what_a_hello_says_is_what_was_put_there(void **)
{
    rollout::json_ptr hello = json_of("{}");
    put_protocols(hello.get(), {3, 5});
    const auto read = protocols_of(hello.get());
    assert_int_equal(read.oldest, 3);
    assert_int_equal(read.newest, 5);
}

void a_hello_with_one_version_speaks_that_alone(void **)
{
    const auto read = protocols_of(json_of(R"({"protocol": 2})").get());
    assert_int_equal(read.oldest, 2);
    assert_int_equal(read.newest, 2);
    assert_false(common_protocol({2, 3}, protocols_of(json_of(R"({"protocol": "2"})").get())).has_value());
    assert_false(common_protocol({2, 3}, protocols_of(json_of("{}").get())).has_value());
}

void a_range_is_told_in_words(void **)
{
    assert_text(format_versions({2, 2}), "version 2");
    assert_text(format_versions({2, 4}), "versions 2 to 4");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_version_that_both_speak_is_taken_whoever_asks),
        cmocka_unit_test(what_a_hello_says_is_what_was_put_there),
        cmocka_unit_test(a_hello_with_one_version_speaks_that_alone),
        cmocka_unit_test(a_range_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
