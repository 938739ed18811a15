// The users of this machine.
#include "worker/os/users.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using rollout::find_user;

void a_user_is_found_by_name_and_by_number(void **)
{
    const auto root = find_user("root");
    assert_true(root.has_value());
    assert_int_equal(root->uid, 0);
    assert_int_equal(root->gid, 0);
    const auto same = find_user(uid_t{0});
    assert_true(same.has_value());
    assert_text(same->name, "root");
}

void one_that_is_not_there_is_not_found(void **)
{
    assert_false(find_user("no such user").has_value());
    assert_false(find_user("").has_value());
    assert_false(find_user(uid_t{4000000000}).has_value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_found_by_name_and_by_number),
        cmocka_unit_test(one_that_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
