#include "common/limits.hpp"
#include "common/requester.hpp"
#include "tests/unit/characters.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::requester;
using rollout::requester_from_json;
using rollout::requester_to_json;

void what_is_known_arrives(void **)
{
    for (const auto &one :
         {requester{"10.0.0.7", "ann", "CN=ci,O=Example"}, requester{"unix:", "", ""}, requester{}}) {
        assert_true(requester_from_json(requester_to_json(one).get()) == one);
    }
}

void what_is_not_known_is_left_out(void **)
{
    assert_text(rollout::json_compact(requester_to_json({"10.0.0.7", "", ""}).get()), R"({"address":"10.0.0.7"})");
    assert_true(requester_from_json(nullptr) == requester{});
}

/// No JSON string holds such bytes, and no line of a log may.
void bytes_that_are_no_text_do_not_lose_the_rest(void **)
{
    const auto sent =
        requester_to_json({"10.0.0.7", "ann\xff\n\x1b[31m{\"level\":\"error\"}", std::string("a\0b", 3)});
    const auto came = requester_from_json(sent.get());
    assert_text(came.address, "10.0.0.7");
    assert_text(came.user, "ann\xEF\xBF\xBD [31m{\"level\":\"error\"}");
    assert_text(came.certificate, "a b");
}

void values_are_bounded_at_both_ends(void **)
{
    constexpr auto most = rollout::limits::requester_characters;
    const std::string longest(most, 'x');
    assert_text(requester_from_json(requester_to_json({"", longest, ""}).get()).user, longest);
    const auto sent = requester_to_json({"", longest + "x", ""});
    assert_int_equal(characters_of(rollout::json_text(sent.get(), "user")), most);

    const rollout::json_ptr strange(json_object());
    rollout::json_put(strange.get(), "user", std::string(100000, 'x'));
    assert_int_equal(characters_of(requester_from_json(strange.get()).user), most);
    rollout::json_put(strange.get(), "user", rollout::json_make_number(7));
    assert_text(requester_from_json(strange.get()).user, "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_arrives),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(bytes_that_are_no_text_do_not_lose_the_rest),
        cmocka_unit_test(values_are_bounded_at_both_ends),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
