#include "tests/unit/cmocka.hpp"
#include "worker/base/paths.hpp"

namespace {

using rollout::is_same_or_under;

void a_path_is_under_its_folder_by_whole_components(void **)
{
    assert_true(is_same_or_under("/srv/models", "/srv/models"));
    assert_true(is_same_or_under("/srv/models/123", "/srv/models"));
    assert_true(is_same_or_under("/srv/models/123/1/model.onnx", "/srv/models"));
    for (const char *path : {"/srv/models-old", "/srv/models-old/1", "/srv/model", "/srv", "/", "srv/models", ""}) {
        assert_false(is_same_or_under(path, "/srv/models"));
    }
}

void everything_absolute_is_under_the_root(void **)
{
    assert_true(is_same_or_under("/", "/"));
    assert_true(is_same_or_under("/srv", "/"));
    assert_false(is_same_or_under("srv", "/"));
    assert_false(is_same_or_under("", "/"));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_under_its_folder_by_whole_components),
        cmocka_unit_test(everything_absolute_is_under_the_root),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
