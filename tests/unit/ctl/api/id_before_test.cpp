// One model out of the list: the page behind the id before it.
#include "common/domain/identifiers.hpp"
#include "ctl/api/gateway.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::ctl::id_before;

void no_model_stands_between_an_id_and_the_one_before(void **)
{
    const std::string alphabet = "-.0123456789ABCXYZ_abcxyz";
    std::vector<std::string> ids;
    for (const char a : {'0', '1', 'Z', 'a', 'z'}) {
        ids.emplace_back(1, a);
        for (const char b : alphabet) {
            ids.push_back({a, b});
            for (const char c : alphabet) {
                ids.push_back({a, b, c});
            }
        }
    }
    for (const auto &id : ids) {
        if (!rollout::is_model_id(id)) {
            continue;
        }
        const std::string before = id_before(id);
        assert_true(before.empty() || rollout::is_model_id(before));
        assert_true(before < id);
        for (const auto &other : ids) {
            // Without a valid id right before it, only the shorter one will do: a page then begins earlier.
            if (rollout::is_model_id(other) && before.size() == 128) {
                assert_false(before < other && other < id);
            }
        }
    }
    assert_text(id_before("123").substr(0, 5), "122zz");
    assert_int_equal(id_before("123").size(), 128);
    assert_text(id_before("0"), ""); // the first of all
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(no_model_stands_between_an_id_and_the_one_before)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
