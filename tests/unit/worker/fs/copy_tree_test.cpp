#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/fs/copy_tree.hpp"
#include "worker/fs/sha256.hpp"

#include <fcntl.h>

namespace {

using rollout::allowed_area;
using rollout::opened_source;
using rollout::outcome;
using rollout::stop_flag;
using rollout::tree_bounds;
using rollout::tree_pass;
using rollout::unique_fd;

/// A folder `from` that is allowed, and a folder `to`.
struct two_folders {
    opened_source open(const char *name = "from")
    {
        opened_source source;
        const outcome opened = rollout::open_source(AT_FDCWD, (folder / name).c_str(), area, name, source);
        if (!opened) {
            throw std::runtime_error(opened.detail);
        }
        return source;
    }

    outcome measure(tree_pass &pass) { return pass.measure_folder(open(), "from", nullptr); }

    outcome copy(tree_pass &pass)
    {
        const unique_fd to(::open(to_path.c_str(), O_RDONLY | O_DIRECTORY));
        return pass.copy_folder(open(), "from", [&](std::string_view, bool) { return to.get(); });
    }

    static std::string made(const std::filesystem::path &path)
    {
        std::filesystem::create_directory(path);
        return path.native();
    }

    temporary_folder folder;
    std::string to_path = made(folder / "to");
    allowed_area area{{made(folder / "from")}};
    stop_flag stop{false};
    tree_bounds bounds{1 << 20, 1000};
};

void a_measure_counts_and_touches_nothing(void **)
{
    two_folders two;
    two.folder.write("from/a/b/c.txt", "12345");
    two.folder.write("from/d.txt", "678");
    tree_pass pass(two.area, two.bounds, two.stop);
    assert_true(static_cast<bool>(two.measure(pass)));
    assert_int_equal(pass.files(), 2);
    assert_int_equal(pass.bytes(), 8);
    assert_true(std::filesystem::is_empty(two.folder / "to"));
}

void a_copy_has_all_that_was_measured(void **)
{
    two_folders two;
    two.folder.write("from/a/b/c.txt", "12345");
    two.folder.write("from/d.txt", std::string(3000000, 'd'));
    two.folder.write("from/empty", "");
    two.bounds.max_bytes = 3000005;
    tree_pass pass(two.area, two.bounds, two.stop);
    assert_true(static_cast<bool>(two.copy(pass)));
    assert_int_equal(pass.files(), 3);
    assert_int_equal(pass.bytes(), 3000005);
    assert_text(two.folder.read("to/a/b/c.txt"), "12345");
    assert_true(two.folder.read("to/d.txt") == std::string(3000000, 'd'));
    assert_true(two.folder.has("to/empty"));
}

void a_source_is_told_its_own_entries_and_no_deeper_ones(void **)
{
    two_folders two;
    two.folder.write("from/a/b", "");
    two.folder.write("from/c", "");
    std::string seen;
    tree_pass pass(two.area, two.bounds, two.stop);
    pass.measure_folder(two.open(), "from", [&](std::string_view name, bool is_folder) {
        seen += std::string(name) + (is_folder ? "/ " : " ");
    });
    assert_true(seen == "a/ c " || seen == "c a/ ");
}

void a_copy_counts_again_and_stops_at_the_bounds(void **)
{
    two_folders two;
    two.folder.write("from/a", "12345");
    for (const std::uint64_t most : {4, 5}) {
        two.bounds.max_bytes = most;
        tree_pass pass(two.area, two.bounds, two.stop);
        const outcome ended = two.copy(pass);
        assert_true(ended.is == (most == 5 ? outcome::kind::ok : outcome::kind::permanent));
    }
}

void holes_count_as_the_bytes_that_they_would_become(void **)
{
    two_folders two;
    for (const char *name : {"from/a", "from/b", "from/c"}) {
        two.folder.write(name, "");
        std::filesystem::resize_file(two.folder / name, 1ULL << 42); // a hole
    }
    two.bounds.max_bytes = (1ULL << 43) + 1;
    tree_pass pass(two.area, two.bounds, two.stop);
    const outcome ended = two.measure(pass);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "brings the source over 8.0 TiB");
}

void folders_are_followed_to_a_depth_and_no_deeper(void **)
{
    two_folders two;
    std::string deep = "from";
    for (std::size_t i = 0; i < rollout::deepest_folder; ++i) {
        deep += "/d";
    }
    two.folder.write(deep + "/file", "x");
    tree_pass good(two.area, two.bounds, two.stop);
    assert_true(static_cast<bool>(two.measure(good)));
    assert_int_equal(good.files(), 1);

    two.folder.write(deep + "/d/file", "x");
    tree_pass bad(two.area, two.bounds, two.stop);
    const outcome ended = two.measure(bad);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "is more than 32 folders deep in the source");
}

void links_that_multiply_end_at_the_bound_of_files(void **)
{
    two_folders two;
    two.folder.write("from/0/file", "x");
    for (int level = 1; level <= 20; ++level) {
        for (const char *name : {"/a", "/b"}) {
            const auto at = two.folder / ("from/" + std::to_string(level) + name);
            std::filesystem::create_directories(at.parent_path());
            std::filesystem::create_directory_symlink("../" + std::to_string(level - 1), at);
        }
    }
    tree_pass pass(two.area, two.bounds, two.stop);
    const outcome ended = two.measure(pass);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "more than 1000 files and folders");
}

void work_that_is_to_stop_is_canceled(void **)
{
    two_folders two;
    two.folder.write("from/a", "x");
    two.stop = true;
    tree_pass measured(two.area, two.bounds, two.stop);
    assert_true(two.measure(measured).is == outcome::kind::canceled);
    tree_pass copied(two.area, two.bounds, two.stop);
    assert_true(two.copy(copied).is == outcome::kind::canceled);
    assert_false(two.folder.has("to/a"));
}

void a_file_in_the_copys_place_is_not_written_over(void **)
{
    two_folders two;
    two.folder.write("from/a", "new");
    two.folder.write("to/a", "old");
    tree_pass pass(two.area, two.bounds, two.stop);
    const outcome ended = two.copy(pass);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "the copy of from/a cannot be created (File exists)");
    assert_text(two.folder.read("to/a"), "old");
}

void a_digest_is_that_of_the_bytes_that_were_copied(void **)
{
    two_folders two;
    two.folder.write("from/a", std::string(1000000, 'a'));
    const unique_fd to(::open(two.to_path.c_str(), O_RDONLY | O_DIRECTORY));
    rollout::sha256 digest;
    tree_pass pass(two.area, two.bounds, two.stop);
    assert_true(static_cast<bool>(pass.copy_one(two.open("from/a"), "a", to.get(), "b", &digest)));
    // FIPS 180-2, appendix B.3.
    assert_text(digest.finish(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_measure_counts_and_touches_nothing),
        cmocka_unit_test(a_copy_has_all_that_was_measured),
        cmocka_unit_test(a_source_is_told_its_own_entries_and_no_deeper_ones),
        cmocka_unit_test(a_copy_counts_again_and_stops_at_the_bounds),
        cmocka_unit_test(holes_count_as_the_bytes_that_they_would_become),
        cmocka_unit_test(folders_are_followed_to_a_depth_and_no_deeper),
        cmocka_unit_test(links_that_multiply_end_at_the_bound_of_files),
        cmocka_unit_test(work_that_is_to_stop_is_canceled),
        cmocka_unit_test(a_file_in_the_copys_place_is_not_written_over),
        cmocka_unit_test(a_digest_is_that_of_the_bytes_that_were_copied),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
