// FNV-1a, by the test vectors of its authors.
#include "common/base/hash.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using rollout::fnv1a;

void texts_have_their_published_hashes(void **)
{
    assert_true(fnv1a().value() == 0xcbf29ce484222325ULL);
    assert_true(fnv1a().add("a").value() == 0xaf63dc4c8601ec8cULL);
    assert_true(fnv1a().add("foobar").value() == 0x85944171f73967e8ULL);
}

void texts_that_are_added_are_one_text(void **)
{
    assert_true(fnv1a().add("foo").add("").add("bar").value() == fnv1a().add("foobar").value());
    assert_true(fnv1a(7).add("foobar").value() != fnv1a().add("foobar").value());
    assert_true(fnv1a().add({"\0", 1}).value() != fnv1a().value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_their_published_hashes),
        cmocka_unit_test(texts_that_are_added_are_one_text),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
