#include "common/domain/client_identity.hpp"
#include "common/domain/limits.hpp"
#include "tests/unit/characters.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::client_identity;
using rollout::client_identity_from_line;
using rollout::line_of;

void what_is_known_arrives(void **)
{
    for (const auto &one : {client_identity{"10.0.0.7", "ann", "CN=ci,O=Example"}, client_identity{"unix:", "", ""},
                            client_identity{"", "ann b", ""}, client_identity{}}) {
        assert_true(client_identity_from_line(line_of(one)) == one);
    }
    assert_true(client_identity_from_line("") == client_identity{});
}

/// No line holds such bytes, neither of a frame nor of a log.
void bytes_that_are_no_text_do_not_lose_the_rest(void **)
{
    const auto line = line_of({"10.0.0.7", "ann\xff\n\t\x1b[31m{\"level\":\"error\"}", std::string("a\0b", 3)});
    assert_true(line.find('\n') == std::string::npos);
    const auto came = client_identity_from_line(line);
    assert_text(came.address, "10.0.0.7");
    assert_text(came.user, "ann\xEF\xBF\xBD [31m{\"level\":\"error\"}");
    assert_text(came.certificate, "a b");
}

void values_are_bounded_at_both_ends(void **)
{
    constexpr auto most = rollout::limits::requester_characters;
    const std::string longest(most, 'x');
    assert_text(client_identity_from_line(line_of({"", longest, ""})).user, longest);
    const auto line = line_of({"", longest + "x", ""});
    assert_int_equal(characters_of(line), most + 2); // and two tabs
    assert_int_equal(characters_of(client_identity_from_line("\t" + std::string(100000, 'x')).user), most);
    assert_text(client_identity_from_line("a\tb\tc\td").certificate, "c");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_arrives),
        cmocka_unit_test(bytes_that_are_no_text_do_not_lose_the_rest),
        cmocka_unit_test(values_are_bounded_at_both_ends),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
