#include "worker/journal/sqlite/packed_text.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using rollout::pack_text;
using rollout::unpack_text;

void a_text_comes_back_as_it_was(void **)
{
    for (const auto &text :
         {std::string(), std::string("a\0b", 3), std::string(100000, 'x'), std::string(600, '7') + "8"}) {
        const auto packed = pack_text(text);
        assert_true(unpack_text(packed, 100000) == text);
    }
    assert_true(pack_text(std::string(100000, 'x')).size() < 1000);
}

void a_text_over_the_bound_is_refused(void **)
{
    const auto packed = pack_text(std::string(1001, 'x'));
    assert_false(unpack_text(packed, 1000).has_value());
    assert_true(unpack_text(packed, 1001).has_value());
}

void what_is_not_packed_or_cut_is_refused(void **)
{
    const auto packed = pack_text("a text that is long enough to be cut");
    assert_false(unpack_text("not packed", 1000).has_value());
    assert_false(unpack_text("", 1000).has_value());
    for (std::size_t size = 0; size < packed.size(); ++size) {
        assert_false(unpack_text(packed.substr(0, size), 1000).has_value());
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_text_comes_back_as_it_was),
        cmocka_unit_test(a_text_over_the_bound_is_refused),
        cmocka_unit_test(what_is_not_packed_or_cut_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
