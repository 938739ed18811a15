// Query strings as the URL Standard reads them.
#include "common/domain/limits.hpp"
#include "module/api/query.hpp"
#include "tests/unit/cmocka.hpp"

#include <array>

namespace {

using rollout::check_query;
using rollout::find_argument;
using rollout::read_query;

/// "name=value" of each, with bars between them.
std::string read(std::string_view text)
{
    std::string all;
    for (const auto &[name, value] : read_query(text)) {
        all.append(all.empty() ? "" : "|").append(name).append("=").append(value);
    }
    return all;
}

void arguments_are_decoded(void **)
{
    assert_text(read("wait=5"), "wait=5");
    assert_text(read("model_id=m%2D1&limit=%31%30"), "model_id=m-1|limit=10");
    assert_text(read("%77ait=5"), "wait=5");
    assert_text(read("a=b+c%2B"), "a=b c+");
    assert_text(read("a=%7E%7e"), "a=~~");
    assert_text(read("a=b=c"), "a=b=c");
}

void what_is_no_escape_stands_for_itself(void **)
{
    assert_text(read("a=%"), "a=%");
    assert_text(read("a=%4"), "a=%4");
    assert_text(read("a=%zz%4x%41"), "a=%zz%4xA");
}

void empty_arguments_are_none(void **)
{
    assert_text(read(""), "");
    assert_text(read("&&"), "");
    assert_text(read("&wait=5&&limit=1&"), "wait=5|limit=1");
    assert_text(read("wait"), "wait=");
    assert_text(read("wait="), "wait=");
}

void the_value_of_an_argument_is_found(void **)
{
    const auto query = read_query("wait=&limit=2");
    assert_text(*find_argument(query, "limit"), "2");
    assert_text(*find_argument(query, "wait"), "");
    assert_false(find_argument(query, "Limit").has_value());
}

std::string fault_of(std::string_view text)
{
    constexpr std::array<std::string_view, 2> known = {"wait", "limit"};
    const auto fault = check_query(read_query(text), known);
    return fault.detail.empty() ? "" : std::to_string(fault.status) + ' ' + fault.detail;
}

void what_is_known_and_given_once_is_right(void **)
{
    for (const char *text : {"", "wait=5", "limit=&wait=", "&&wait=x"}) {
        assert_text(fault_of(text), "");
    }
}

void what_is_not_known_is_named_with_what_is(void **)
{
    assert_text(fault_of("waits=5"),
                R"(422 The argument "waits" is not known here; this route takes "wait" and "limit".)");
    assert_text(fault_of("Wait=5"),
                R"(422 The argument "Wait" is not known here; this route takes "wait" and "limit".)");
    assert_text(fault_of("=5"), R"(422 The argument "" is not known here; this route takes "wait" and "limit".)");
    const auto none = check_query(read_query("x=1"), {});
    assert_text(none.detail, R"(The argument "x" is not known here; this route takes none.)");
    assert_text(none.errors.at(0).parameter.value(), "x");
}

void what_is_given_twice_is_a_fault_also_with_the_same_value(void **)
{
    assert_text(fault_of("wait=5&wait=5"), R"(422 The argument "wait" is given more than once.)");
    assert_text(fault_of("wait=5&%77ait=6"), R"(422 The argument "wait" is given more than once.)");
    assert_text(fault_of("wait=1&wait=2&x"),
                R"(422 2 arguments of the query are at fault: "wait" is given more than once, and others.)");
}

void what_a_client_sends_makes_no_long_answer(void **)
{
    std::string text;
    for (int i = 0; i < 5000; ++i) {
        text += "a" + std::to_string(i) + std::string(100, 'x') + "&";
    }
    const auto fault = check_query(read_query(text), {});
    assert_true(fault.errors.size() <= rollout::limits::problem_members);
    assert_true(fault.to_json().size() < 65536);
    assert_text(check_query(read_query("%0Aa%FF"), {}).errors.at(0).parameter.value(), "a\xEF\xBF\xBD");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_decoded),
        cmocka_unit_test(what_is_no_escape_stands_for_itself),
        cmocka_unit_test(empty_arguments_are_none),
        cmocka_unit_test(the_value_of_an_argument_is_found),
        cmocka_unit_test(what_is_known_and_given_once_is_right),
        cmocka_unit_test(what_is_not_known_is_named_with_what_is),
        cmocka_unit_test(what_is_given_twice_is_a_fault_also_with_the_same_value),
        cmocka_unit_test(what_a_client_sends_makes_no_long_answer),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
