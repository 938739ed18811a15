#include "common/base/json.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::json_compact;
using rollout::json_count;
using rollout::json_make;
using rollout::json_number;
using rollout::json_ptr;
using rollout::json_put;
using rollout::json_text;

json_ptr parsed(const char *text)
{
    return json_ptr(json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, nullptr));
}

void a_text_is_read_from_strings_only(void **)
{
    const json_ptr object = parsed(R"({"s":"text","e":"","n":7,"o":{},"z":"a\u0000b","l":null})");
    assert_text(json_text(object.get(), "s"), "text");
    assert_true(json_text(object.get(), "z") == std::string_view("a\0b", 3));
    for (const char *member : {"e", "n", "o", "l", "missing"}) {
        assert_true(json_text(object.get(), member).empty());
    }
    assert_true(json_text(parsed("[\"s\"]").get(), "s").empty());
    assert_true(json_text(nullptr).empty());
    assert_true(json_text(nullptr, "s").empty());
}

void a_number_is_read_from_integers_only(void **)
{
    const json_ptr object = parsed(R"({"n":7,"m":-7,"r":7.0,"s":"7","t":true,"big":9223372036854775807})");
    assert_true(json_number(object.get(), "n") == 7);
    assert_true(json_number(object.get(), "m", 3) == -7);
    assert_true(json_number(object.get(), "big") == INT64_MAX);
    for (const char *member : {"r", "s", "t", "missing"}) {
        assert_true(json_number(object.get(), member) == 0);
        assert_true(json_number(object.get(), member, -1) == -1);
    }
    assert_true(json_number(nullptr, "n", 3) == 3);
}

void a_whole_number_is_whole_however_it_is_written(void **)
{
    const auto whole = [](const char *text) {
        return rollout::json_whole(json_object_get(parsed(("{\"n\":" + std::string(text) + "}").c_str()).get(), "n"));
    };
    for (const char *text : {"30", "30.0", "3e1", "3E+1", "300e-1"}) {
        assert_true(whole(text) == 30);
    }
    assert_true(whole("-0.0") == 0);
    assert_true(whole("-7.0") == -7);
    assert_true(whole("1e18") == 1000000000000000000);
    assert_true(whole("9223372036854775807") == INT64_MAX);
    assert_true(whole("-9223372036854775808.0") == INT64_MIN);
    for (const char *text : {"30.5", "9223372036854775808.0", "1e300", "-1e300", "\"30\"", "true", "null", "[30]"}) {
        assert_false(whole(text).has_value());
    }
    assert_false(rollout::json_whole(nullptr).has_value());
}

void values_are_the_same_when_their_numbers_are(void **)
{
    const auto same = [](const char *one, const char *other) {
        return rollout::json_same(parsed(("{\"v\":" + std::string(one) + "}").c_str()).get(),
                                  parsed(("{\"v\":" + std::string(other) + "}").c_str()).get());
    };
    assert_true(same("30", "30.0"));
    assert_true(same("[1, {\"a\": 2e1, \"b\": null}]", "[1.0, {\"b\": null, \"a\": 20}]"));
    assert_true(same("0.5", "5e-1"));
    assert_false(same("30", "30.5"));
    assert_false(same("9007199254740993", "9007199254740992.0"));
    assert_false(same("1", "true"));
    assert_false(same("1", "\"1\""));
    assert_false(same("[1]", "[1, 1]"));
    assert_false(same("{\"a\": 1}", "{\"a\": 1, \"b\": 1}"));
    assert_false(same("{\"a\": 1}", "{\"b\": 1}"));
    assert_true(rollout::json_same(nullptr, nullptr));
    assert_false(rollout::json_same(nullptr, parsed("{}").get()));
}

void a_count_is_never_negative(void **)
{
    const json_ptr object = parsed(R"({"n":7,"m":-7,"least":-9223372036854775808,"big":9223372036854775807})");
    assert_true(json_count(object.get(), "n") == 7);
    assert_true(json_count(object.get(), "m") == 0);
    assert_true(json_count(object.get(), "least") == 0);
    assert_true(json_count(object.get(), "big") == INT64_MAX);
    assert_true(json_count(object.get(), "missing") == 0);
}

void members_keep_the_order_in_which_they_were_put(void **)
{
    const json_ptr object(json_object());
    json_put(object.get(), "z", "1");
    json_put(object.get(), "a", rollout::json_make_number(2));
    json_put(object.get(), "m", json_make(std::string_view("a\0b", 3)));
    json_put(object.get(), "z", "3");
    assert_text(json_compact(object.get()), R"({"z":"3","a":2,"m":"a\u0000b"})");
}

void what_can_be_written_is_compact_text_and_the_rest_is_none(void **)
{
    assert_text(json_compact(parsed(" [ 1 , { \"a\" : [ ] } ] ").get()), R"([1,{"a":[]}])");
    assert_text(json_compact(parsed("\"caf\xC3\xA9/\"").get()), "\"caf\xC3\xA9/\"");
    assert_text(json_compact(parsed("{\"b\":1,\"a\":2}").get(), JSON_SORT_KEYS), R"({"a":2,"b":1})");
    assert_text(json_compact(nullptr), "");

    const json_ptr ring(json_array());
    const json_ptr inner(json_array());
    json_array_append(ring.get(), inner.get());
    json_array_append(inner.get(), ring.get());
    try {
        json_compact(ring.get());
        fail_msg("a value that holds itself was written");
    } catch (const std::bad_alloc &) {
    }
    json_array_clear(inner.get());
}

void a_text_that_is_no_utf8_makes_no_string(void **)
{
    assert_null(json_make("\xFF").get());
    assert_non_null(json_make("").get());
}

void texts_become_an_array_in_their_order(void **)
{
    assert_text(json_compact(rollout::json_make_array({"b", "", "a"}).get()), R"(["b","","a"])");
    assert_text(json_compact(rollout::json_make_array({"b", "\xFF", "a"}).get()), R"(["b","a"])");
    assert_text(json_compact(rollout::json_make_array(std::vector<std::string>()).get()), "[]");
}

void a_shared_value_outlives_its_first_owner(void **)
{
    json_ptr first = json_make("kept");
    const json_ptr second = rollout::json_share(first.get());
    first.reset();
    assert_text(json_text(second.get()), "kept");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_read_from_strings_only),
        cmocka_unit_test(a_number_is_read_from_integers_only),
        cmocka_unit_test(a_whole_number_is_whole_however_it_is_written),
        cmocka_unit_test(values_are_the_same_when_their_numbers_are),
        cmocka_unit_test(a_count_is_never_negative),
        cmocka_unit_test(members_keep_the_order_in_which_they_were_put),
        cmocka_unit_test(what_can_be_written_is_compact_text_and_the_rest_is_none),
        cmocka_unit_test(a_text_that_is_no_utf8_makes_no_string),
        cmocka_unit_test(texts_become_an_array_in_their_order),
        cmocka_unit_test(a_shared_value_outlives_its_first_owner),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
