#include "common/base/unique_fd.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/fs/copy_file.hpp"
#include "worker/fs/sha256.hpp"

#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using rollout::copy_ends;
using rollout::outcome;
using rollout::sha256;
using rollout::stop_flag;
using rollout::unique_fd;

constexpr std::size_t mib = 1024 * 1024;

/// A file that is copied to another one.
struct two_files {
    explicit two_files(const std::filesystem::path &source)
        : from(::open(source.c_str(), O_RDONLY)), to(::open((folder / "to").c_str(), O_RDWR | O_CREAT, 0600))
    {
        assert_int_equal(::fstat(from.get(), &status), 0);
    }

    outcome copy(sha256 *digest = nullptr)
    {
        return rollout::copy_file({from.get(), to.get(), "from", "to"}, status, stop, digest);
    }

    temporary_folder folder;
    unique_fd from;
    unique_fd to;
    struct stat status {};
    stop_flag stop{false};
};

std::string digest_of(const std::string &bytes)
{
    sha256 digest;
    digest.feed(bytes.data(), bytes.size());
    return digest.finish();
}

/// Bytes that repeat themselves at no piece's and no buffer's length.
std::string varied(std::size_t size)
{
    std::string bytes;
    while (bytes.size() < size) {
        bytes += "at " + std::to_string(bytes.size()) + std::string(9000, 'x');
    }
    bytes.resize(size);
    return bytes;
}

void check_copy(const temporary_folder &folder, const std::string &bytes)
{
    two_files two(folder.write("from", bytes));
    sha256 digest;
    assert_true(static_cast<bool>(two.copy(&digest)));
    assert_text(digest.finish(), digest_of(bytes));
    assert_true(two.folder.read("to") == bytes);

    two_files plain(folder / "from");
    assert_true(static_cast<bool>(plain.copy()));
    assert_true(plain.folder.read("to") == bytes);
}

void a_copy_and_its_digest_have_all_bytes(void **)
{
    const temporary_folder folder;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 16 * mib - 1, 16 * mib, 40 * mib + 7}) {
        check_copy(folder, varied(size));
    }
}

void a_file_of_another_file_system_is_copied_too(void **)
{
    char name[] = "/dev/shm/rollout-test-XXXXXX";
    const unique_fd source(::mkstemp(name));
    assert_true(source.get() >= 0);
    const std::string bytes = varied(17 * mib);
    assert_int_equal(::write(source.get(), bytes.data(), bytes.size()), bytes.size());
    two_files two(name);
    ::unlink(name);
    sha256 digest;
    // The name's removal has changed the file's times, and so its status is taken again.
    assert_int_equal(::fstat(two.from.get(), &two.status), 0);
    assert_true(static_cast<bool>(two.copy(&digest)));
    assert_text(digest.finish(), digest_of(bytes));
    assert_true(two.folder.read("to") == bytes);
}

void holes_stay_holes_and_are_digested_as_zeros(void **)
{
    const temporary_folder folder;
    const auto path = folder.write("from", "");
    std::filesystem::resize_file(path, 64 * mib);
    const unique_fd file(::open(path.c_str(), O_WRONLY));
    assert_int_equal(::pwrite(file.get(), "data", 4, 20 * mib), 4);
    std::string bytes(64 * mib, '\0');
    bytes.replace(20 * mib, 4, "data");

    two_files two(path);
    sha256 digest;
    assert_true(static_cast<bool>(two.copy(&digest)));
    assert_text(digest.finish(), digest_of(bytes));
    assert_true(two.folder.read("to") == bytes);
    struct stat copied {};
    assert_int_equal(::fstat(two.to.get(), &copied), 0);
    assert_true(copied.st_blocks * 512 < static_cast<long>(mib));
}

void a_copy_that_is_to_stop_is_canceled(void **)
{
    const temporary_folder folder;
    for (const bool with_digest : {false, true}) {
        two_files two(folder.write("from", varied(mib)));
        two.stop = true;
        sha256 digest;
        assert_true(two.copy(with_digest ? &digest : nullptr).is == outcome::kind::canceled);
    }
}

void a_source_that_changes_is_a_transient_failure(void **)
{
    const temporary_folder folder;
    const auto path = folder.write("from", "bytes");
    two_files two(path);
    std::filesystem::resize_file(path, 2);
    const auto ended = two.copy();
    assert_true(ended.is == outcome::kind::transient);
    assert_text(ended.detail, "from changed while it was copied");
}

void a_copy_that_cannot_be_written_is_a_failure_with_and_without_a_digest(void **)
{
    const temporary_folder folder;
    for (const bool with_digest : {false, true}) {
        two_files two(folder.write("from", varied(3 * mib)));
        two.to.reset(::open((two.folder / "to").c_str(), O_RDONLY));
        sha256 digest;
        const auto ended = two.copy(with_digest ? &digest : nullptr);
        assert_false(static_cast<bool>(ended));
        assert_holds(ended.detail, "to cannot be written (");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_and_its_digest_have_all_bytes),
        cmocka_unit_test(a_file_of_another_file_system_is_copied_too),
        cmocka_unit_test(holes_stay_holes_and_are_digested_as_zeros),
        cmocka_unit_test(a_copy_that_is_to_stop_is_canceled),
        cmocka_unit_test(a_source_that_changes_is_a_transient_failure),
        cmocka_unit_test(a_copy_that_cannot_be_written_is_a_failure_with_and_without_a_digest),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
