#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/fs/sync_tree.hpp"

#include <filesystem>
#include <string>

#include <sys/stat.h>

namespace {

using rollout::outcome;
using rollout::stop_flag;

void a_tree_is_synced_whatever_is_in_it(void **)
{
    const temporary_folder folder;
    for (int i = 0; i < 40; ++i) {
        folder.write("model/" + std::to_string(i % 3) + "/file" + std::to_string(i), "bytes");
    }
    std::filesystem::create_symlink("nowhere", folder / "model/link");
    assert_int_equal(::mkfifo((folder / "model/fifo").c_str(), 0600), 0);
    assert_true(static_cast<bool>(rollout::sync_tree(folder / "model", stop_flag(false))));
    assert_true(static_cast<bool>(rollout::sync_folder(folder.path())));
}

void a_sync_that_is_to_stop_is_canceled(void **)
{
    const temporary_folder folder;
    folder.write("model/file", "bytes");
    assert_true(rollout::sync_tree(folder / "model", stop_flag(true)).is == outcome::kind::canceled);
}

void what_is_not_there_is_named(void **)
{
    const temporary_folder folder;
    assert_holds(rollout::sync_tree(folder / "nothing", stop_flag(false)).detail, "nothing cannot be read (");
    assert_holds(rollout::sync_folder(folder / "nothing").detail, "nothing cannot be written to the disk (");
    assert_holds(rollout::sync_folder(folder.write("file", "")).detail, "file cannot be written to the disk (");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_is_synced_whatever_is_in_it),
        cmocka_unit_test(a_sync_that_is_to_stop_is_canceled),
        cmocka_unit_test(what_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
